//! Likenesses: what names, places and goods look like, from small tables.

use super::chance::Chance;

/// What a text is like. The parts of one person, or of one place, go together within a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    Name,
    FirstName,
    LastName,
    Email,
    Phone,
    Company,
    Street,
    City,
    PostalCode,
    Country,
    Product,
    Sku,
    Category,
    Brand,
    Path,
    Url,
    Ip,
    UserAgent,
    Word,
    Sentence,
    Id,
    /// On decimals, floats and doubles.
    Price,
    /// On ints and longs.
    Quantity,
    /// On ints and longs: the number of an element in its array, from 1.
    Line,
}

/// One likeness, for the reference.
#[derive(Debug)]
pub struct LikeDoc {
    pub name: &'static str,
    pub like: Like,
    pub example: &'static str,
}

const fn doc(name: &'static str, like: Like, example: &'static str) -> LikeDoc {
    LikeDoc { name, like, example }
}

/// Every likeness that the hint `like` takes. README's reference is held against this table by a test.
pub const LIKES: &[LikeDoc] = &[
    doc("name", Like::Name, "Amélie Durand"),
    doc("first-name", Like::FirstName, "Amélie"),
    doc("last-name", Like::LastName, "Durand"),
    doc("email", Like::Email, "amelie.durand@example.com"),
    doc("phone", Like::Phone, "+49 30 5550142"),
    doc("company", Like::Company, "Brandt & Söhne"),
    doc("street", Like::Street, "Rue des Lilas 12"),
    doc("city", Like::City, "Lyon"),
    doc("postal-code", Like::PostalCode, "69003"),
    doc("country", Like::Country, "FR"),
    doc("product", Like::Product, "walnut desk lamp"),
    doc("sku", Like::Sku, "SKU-4821"),
    doc("category", Like::Category, "electronics.audio.headphone"),
    doc("brand", Like::Brand, "lucente"),
    doc("path", Like::Path, "/category/garden"),
    doc("url", Like::Url, "https://www.example.com/category/garden"),
    doc("ip", Like::Ip, "203.0.113.57"),
    doc("user-agent", Like::UserAgent, "Mozilla/5.0 (Android 14; Mobile)"),
    doc("word", Like::Word, "copper"),
    doc("sentence", Like::Sentence, "The parcel is at the door."),
    doc("id", Like::Id, "9f86d081884c"),
    doc("price", Like::Price, "19.99"),
    doc("quantity", Like::Quantity, "1 to 9, mostly 1"),
    doc("line", Like::Line, "1 for the first element of an array, 2 for the next"),
];

impl Like {
    /// The likeness of this name.
    pub fn named(name: &str) -> Option<Like> {
        LIKES.iter().find(|l| l.name == name).map(|l| l.like)
    }

    /// What a text field without a hint is most likely like, by its name: `customer_email` is an email.
    pub fn guess(field: &str) -> Option<Like> {
        let field = field.replace('_', "-").to_lowercase();
        let ends = |name: &str| field.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'));
        let text = LIKES.iter().filter(|l| l.like.is_text());
        text.filter(|l| ends(l.name)).max_by_key(|l| l.name.len()).map(|l| l.like)
    }

    pub const fn is_text(self) -> bool {
        !matches!(self, Like::Price | Like::Quantity | Like::Line)
    }

    /// The likeness's name.
    pub fn name(self) -> &'static str {
        LIKES.iter().find(|l| l.like == self).map_or("", |l| l.name)
    }
}

/// The person and the place that a record tells of, once one of their parts has been asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject {
    person: Option<(usize, usize)>,
    place: Option<usize>,
}

impl Subject {
    /// A text of this likeness. Those of numbers have none.
    pub fn text(&mut self, like: Like, chance: &mut Chance) -> String {
        match like {
            Like::Name => {
                let (first, last) = self.person(chance);
                format!("{first} {last}")
            }
            Like::FirstName => self.person(chance).0.to_owned(),
            Like::LastName => self.person(chance).1.to_owned(),
            Like::Email => {
                let (first, last) = self.person(chance);
                format!("{}.{}@example.{}", ascii(first), ascii(last), chance.pick(&["com", "org", "net"]))
            }
            Like::Phone => format!("{} 555{:04}", self.place(chance).3, chance.between(0, 9_999)),
            Like::Street => format!("{} {}", chance.pick(STREETS), chance.between(1, 120)),
            Like::City => self.place(chance).0.to_owned(),
            Like::PostalCode => self.place(chance).1.to_owned(),
            Like::Country => self.place(chance).2.to_owned(),
            Like::Product => format!("{} {}", chance.pick(KINDS), chance.pick(GOODS)),
            Like::Sku => format!("SKU-{:04}", chance.between(1, 9_999)),
            Like::Url => format!("https://www.example.com{}", chance.pick(PATHS)),
            Like::Ip => format!("{}.{}", chance.pick(NETS), chance.between(1, 254)),
            Like::Id => format!("{:012x}", chance.next() >> 16),
            Like::Company => chance.pick(COMPANIES).to_owned(),
            Like::Category => chance.pick(CATEGORIES).to_owned(),
            Like::Brand => chance.pick(BRANDS).to_owned(),
            Like::Path => chance.pick(PATHS).to_owned(),
            Like::UserAgent => chance.pick(AGENTS).to_owned(),
            Like::Word => chance.pick(WORDS).to_owned(),
            Like::Sentence => chance.pick(SENTENCES).to_owned(),
            Like::Price | Like::Quantity | Like::Line => String::new(),
        }
    }

    fn person(&mut self, chance: &mut Chance) -> (&'static str, &'static str) {
        let (first, last) =
            *self.person.get_or_insert_with(|| (chance.index(FIRST_NAMES.len()), chance.index(LAST_NAMES.len())));
        (FIRST_NAMES[first], LAST_NAMES[last])
    }

    fn place(&mut self, chance: &mut Chance) -> Place {
        PLACES[*self.place.get_or_insert_with(|| chance.index(PLACES.len()))]
    }
}

/// A name as an address of mail has it.
fn ascii(name: &str) -> String {
    let plain = |c: char| match c {
        'é' | 'è' | 'ë' => 'e',
        'á' | 'ä' | 'å' => 'a',
        'ö' | 'ø' | 'ó' => 'o',
        'ü' => 'u',
        'ł' => 'l',
        'ç' => 'c',
        'ń' => 'n',
        _ => c,
    };
    name.to_lowercase().chars().map(plain).filter(char::is_ascii_alphanumeric).collect()
}

const FIRST_NAMES: &[&str] = &[
    "Amélie", "Anna", "Ben", "Carmen", "Chiara", "David", "Elif", "Emma", "Felix", "Fatima", "George", "Hanna", "Ines",
    "Ivan", "Jonas", "Kaja", "Lea", "Liam", "Łucja", "Maria", "Milan", "Noah", "Nora", "Olga", "Pablo", "Priya",
    "Rosa", "Søren", "Sofia", "Tomás", "Wei", "Yusuf", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Almeida",
    "Andersson",
    "Bakker",
    "Baumann",
    "Chen",
    "Costa",
    "Dubois",
    "Durand",
    "Evans",
    "Ferrari",
    "García",
    "Hansen",
    "Ito",
    "Jansen",
    "Kowalski",
    "Kaya",
    "Kumar",
    "Lindqvist",
    "López",
    "Meyer",
    "Müller",
    "Nowak",
    "O'Brien",
    "Øster",
    "Papadopoulos",
    "Rossi",
    "Schäfer",
    "Silva",
    "Smith",
    "Taylor",
    "Virtanen",
    "Walker",
    "Yıldız",
    "Zhang",
];

/// City, postal code, ISO 3166-1 alpha-2, dialling code.
type Place = (&'static str, &'static str, &'static str, &'static str);

const PLACES: &[Place] = &[
    ("Berlin", "10115", "DE", "+49 30"),
    ("Köln", "50667", "DE", "+49 221"),
    ("Lyon", "69003", "FR", "+33 4"),
    ("Nantes", "44000", "FR", "+33 2"),
    ("Utrecht", "3511 AA", "NL", "+31 30"),
    ("Leeds", "LS1 4AP", "GB", "+44 113"),
    ("London", "EC1A 1BB", "GB", "+44 20"),
    ("Gdańsk", "80-001", "PL", "+48 58"),
    ("Málaga", "29001", "ES", "+34 952"),
    ("Porto", "4000-322", "PT", "+351 22"),
    ("Torino", "10121", "IT", "+39 011"),
    ("Malmö", "211 22", "SE", "+46 40"),
    ("Chicago", "60601", "US", "+1 312"),
    ("Portland", "97201", "US", "+1 503"),
];
const STREETS: &[&str] = &["Lindenstraße", "Rue des Lilas", "Keizersgracht", "Mill Lane", "Calle Mayor", "Via Roma"];
const COMPANIES: &[&str] = &[
    "Aurora Foods",
    "Brandt & Söhne",
    "Canal Logistics",
    "Dunmore Bank",
    "Étoile Santé",
    "Fjord Energi",
    "Gamma Optics",
    "Harbour & Co",
    "Iberia Textil",
    "Juniper Robotics",
];
const KINDS: &[&str] = &["walnut", "brushed steel", "linen", "folding", "cordless", "recycled", "handmade", "outdoor"];
const GOODS: &[&str] =
    &["desk lamp", "kettle", "armchair", "backpack", "headphones", "notebook", "teapot", "running shoes", "wall clock"];
const CATEGORIES: &[&str] = &[
    "electronics.smartphone",
    "electronics.audio.headphone",
    "appliances.kitchen.kettle",
    "furniture.living_room.sofa",
    "apparel.shoes",
    "stationery.paper",
    "garden.tools",
];
const BRANDS: &[&str] = &["samsung", "apple", "bosch", "lucente", "müller", "nordvik", "tama"];
const PATHS: &[&str] =
    &["/", "/sale", "/category/garden", "/category/kitchen", "/search?q=lamp", "/about", "/cart", "/account/orders"];
/// Networks that are kept for examples (RFC 5737).
const NETS: &[&str] = &["192.0.2", "198.51.100", "203.0.113"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5)",
    "Mozilla/5.0 (Android 14; Mobile)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
    "shop-app/4.2",
];
const WORDS: &[&str] =
    &["amber", "birch", "copper", "delta", "ember", "fern", "granite", "harbour", "indigo", "juniper", "kelp", "linen"];
const SENTENCES: &[&str] = &[
    "The parcel is at the door.",
    "Please ring twice.",
    "Asked for a reference.",
    "Wants \"net 60\".",
    "Répond mardi.",
    "Zurück am Montag.",
    "Everything as discussed.",
    "Leave it with the neighbour.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_likeness_of_text_has_words() {
        let mut chance = Chance::new(1);
        for doc in LIKES {
            assert_eq!(doc.like.is_text(), !Subject::default().text(doc.like, &mut chance).is_empty(), "{}", doc.name);
            assert_eq!((Like::named(doc.name), doc.like.name()), (Some(doc.like), doc.name));
        }
    }

    #[test]
    fn the_parts_of_a_person_go_together() {
        let (mut chance, mut subject) = (Chance::new(3), Subject::default());
        let [name, first, email] =
            [Like::Name, Like::FirstName, Like::Email].map(|like| subject.text(like, &mut chance));
        assert!(name.starts_with(&first) && email.starts_with(&ascii(&first)), "{name} {first} {email}");
        assert!(email.is_ascii());
    }

    #[test]
    fn a_name_says_what_a_field_is_like() {
        assert_eq!(Like::guess("customer_email"), Some(Like::Email));
        assert_eq!(Like::guess("last_name"), Some(Like::LastName));
        assert_eq!(Like::guess("order_id"), Some(Like::Id));
        assert_eq!(Like::guess("unit_price"), None);
        assert_eq!(Like::guess("grid"), None);
    }
}
