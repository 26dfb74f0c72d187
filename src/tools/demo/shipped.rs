//! The shipped configuration, schemas and migrations, carried inside the binary.

use std::{
    env, fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Each file by its path in the repository.
const FILES: &[(&str, &str)] = &[
    ("routes.toml", include_str!("../../../routes.toml")),
    ("schemas/jobs/Job.avsc", include_str!("../../../schemas/jobs/Job.avsc")),
    ("schemas/sales/MetaData.avsc", include_str!("../../../schemas/sales/MetaData.avsc")),
    ("schemas/sales/Opportunity.avsc", include_str!("../../../schemas/sales/Opportunity.avsc")),
    ("schemas/sales/Project.avsc", include_str!("../../../schemas/sales/Project.avsc")),
    ("schemas/shop/Currency.avsc", include_str!("../../../schemas/shop/Currency.avsc")),
    ("schemas/shop/Customer.avsc", include_str!("../../../schemas/shop/Customer.avsc")),
    ("schemas/shop/Event.avsc", include_str!("../../../schemas/shop/Event.avsc")),
    ("schemas/shop/EventType.avsc", include_str!("../../../schemas/shop/EventType.avsc")),
    ("schemas/shop/Order.avsc", include_str!("../../../schemas/shop/Order.avsc")),
    ("schemas/shop/ProcessedEvent.avsc", include_str!("../../../schemas/shop/ProcessedEvent.avsc")),
    ("schemas/shop/Product.avsc", include_str!("../../../schemas/shop/Product.avsc")),
    ("schemas/shop/StoreEvent.avsc", include_str!("../../../schemas/shop/StoreEvent.avsc")),
    ("migrations/crm/postgres/0001_sales.sql", include_str!("../../../migrations/crm/postgres/0001_sales.sql")),
    ("migrations/crm/sqlite/0001_sales.sql", include_str!("../../../migrations/crm/sqlite/0001_sales.sql")),
    ("migrations/jobs/postgres/0001_states.sql", include_str!("../../../migrations/jobs/postgres/0001_states.sql")),
    ("migrations/jobs/sqlite/0001_states.sql", include_str!("../../../migrations/jobs/sqlite/0001_states.sql")),
    ("migrations/shop/postgres/0001_shop.sql", include_str!("../../../migrations/shop/postgres/0001_shop.sql")),
    (
        "migrations/shop/postgres/0002_assortment.sql",
        include_str!("../../../migrations/shop/postgres/0002_assortment.sql"),
    ),
    ("migrations/shop/sqlite/0001_shop.sql", include_str!("../../../migrations/shop/sqlite/0001_shop.sql")),
    ("migrations/shop/sqlite/0002_assortment.sql", include_str!("../../../migrations/shop/sqlite/0002_assortment.sql")),
];

/// Writes the files to a new folder below the one for temporary files, and gives it.
pub fn unpack() -> io::Result<PathBuf> {
    let folder = fresh(&env::temp_dir())?;
    for (path, text) in FILES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(path, text)?;
    }
    fs::create_dir_all(folder.join("data"))?;
    Ok(folder)
}

/// `pointsman-demo-N`, with the lowest N that is free: an earlier demo's databases stay for those who look at them.
fn fresh(parent: &Path) -> io::Result<PathBuf> {
    let mut number = 1u32;
    loop {
        let folder = parent.join(format!("pointsman-demo-{number}"));
        match fs::create_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            made => return made.map(|()| folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_schema_and_migration_is_in_the_binary() {
        fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = vec!["routes.toml".to_owned()];
        walk(root, &root.join("schemas"), &mut found);
        walk(root, &root.join("migrations"), &mut found);
        found.sort();
        let mut carried: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        carried.sort();
        assert_eq!(carried, found);
    }
}
