//! Records to a file or the standard output: JSON lines, or an Avro container.

use super::{Generated, Tally, Target};
use crate::{
    codec::write,
    failure::{Cause, Setback},
    generate::Chance,
};
use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
    time::Duration,
};

/// Bytes of a container's block: as much as its readers like to hold at once.
const BLOCK: usize = 64 << 10;

pub(super) struct Output {
    out: Box<dyn Write>,
    /// For messages.
    place: String,
    container: Option<Container>,
    tally: Tally,
    closed: bool,
}

/// A block under way. See the Avro specification 1.12, "Object Container Files".
struct Container {
    sync: [u8; 16],
    bodies: Vec<u8>,
    count: usize,
}

impl Output {
    /// A new file; one that is there is replaced.
    pub fn file(path: &Path) -> Result<Output, Setback> {
        let place = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Output::new(Box::new(BufWriter::with_capacity(BLOCK, file)), place)),
            Err(error) => {
                let message = format!("cannot write {place}: {error}");
                let help = match error.kind() {
                    ErrorKind::NotFound => "name a file in a folder that exists",
                    _ => "name a file that may be written",
                };
                Err(Setback::stand(Cause::Host, message, help))
            }
        }
    }

    pub fn standard() -> Output {
        Output::new(Box::new(BufWriter::with_capacity(BLOCK, io::stdout())), "the standard output".to_owned())
    }

    fn new(out: Box<dyn Write>, place: String) -> Output {
        Output { out, place, container: None, tally: Tally::default(), closed: false }
    }

    /// Makes it an Avro container of records of this schema. The seed decides the marker between its blocks too.
    pub fn container(mut self, schema: &str, seed: u64) -> Result<Output, Setback> {
        let mut sync = [0; 16];
        sync.copy_from_slice(Chance::named(seed, "sync").uuid().as_bytes());
        let mut head = b"Obj\x01".to_vec();
        write::index(&mut head, 2);
        for (key, value) in [("avro.schema", schema), ("avro.codec", "null")] {
            write::text(&mut head, key);
            write::text(&mut head, value);
        }
        write::index(&mut head, 0);
        head.extend_from_slice(&sync);
        self.container = Some(Container { sync, bodies: Vec::new(), count: 0 });
        self.write(&head)?;
        Ok(self)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Setback> {
        let written = self.out.write_all(bytes);
        self.settled(written)
    }

    fn settled(&mut self, written: io::Result<()>) -> Result<(), Setback> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => {
                let message = format!("cannot write {}: {error}", self.place);
                Err(Setback::stand(Cause::Host, message, "look at the space that is left"))
            }
            Ok(()) => Ok(()),
        }
    }

    fn end_block(&mut self) -> Result<(), Setback> {
        let Some(container) = &mut self.container else { return Ok(()) };
        if container.count == 0 {
            return Ok(());
        }
        let mut block = Vec::with_capacity(container.bodies.len() + 36);
        write::index(&mut block, container.count);
        write::bytes(&mut block, &container.bodies);
        block.extend_from_slice(&container.sync);
        container.count = 0;
        container.bodies.clear();
        self.write(&block)
    }
}

impl Target for Output {
    fn send(&mut self, record: &Generated) -> Result<(), Setback> {
        if self.closed {
            return Ok(());
        }
        self.tally.acknowledged += 1;
        let Some(container) = &mut self.container else {
            self.write(&record.value)?;
            return self.write(b"\n");
        };
        container.bodies.extend_from_slice(&record.value);
        container.count += 1;
        if container.bodies.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Setback> {
        self.end_block()?;
        let flushed = self.out.flush();
        self.settled(flushed)
    }

    fn idle(&mut self, time: Duration) -> Result<(), Setback> {
        // Whoever reads along sees what there is.
        self.flush()?;
        std::thread::sleep(time);
        Ok(())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}
