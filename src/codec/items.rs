//! The elements of an array or map inside a proven body, one after the other.

use super::{Scanner, read::Reader};

/// The elements of an array that begins at an offset of a body that a scan has proven.
#[derive(Debug)]
pub struct Items<'a> {
    walk: Walk<'a>,
    scanner: &'a Scanner,
}

impl<'a> Items<'a> {
    /// `scanner` is compiled for the array's element.
    pub fn new(scanner: &'a Scanner, body: &'a [u8], at: u32) -> Self {
        Items { walk: Walk::new(body, at), scanner }
    }

    /// Where the next element begins (its union's index included), with `slots` filled for it; `None` at the end.
    pub fn next(&mut self, slots: &mut [u32]) -> Option<u32> {
        self.walk.open(self.scanner.least)?;
        self.walk.value(self.scanner, slots)
    }
}

/// The entries of a map that begins at an offset of a body that a scan has proven.
#[derive(Debug)]
pub struct Entries<'a> {
    walk: Walk<'a>,
    scanner: &'a Scanner,
}

impl<'a> Entries<'a> {
    /// `scanner` is compiled for the map's values.
    pub fn new(scanner: &'a Scanner, body: &'a [u8], at: u32) -> Self {
        Entries { walk: Walk::new(body, at), scanner }
    }

    /// The next key, and where its value begins (its union's index included), with `slots` filled for it; `None` at the end.
    pub fn next(&mut self, slots: &mut [u32]) -> Option<(&'a str, u32)> {
        self.walk.open(self.scanner.least.saturating_add(1))?;
        let key = self.walk.reader.text().ok()?;
        let at = self.walk.value(self.scanner, slots)?;
        Some((key, at))
    }
}

#[derive(Debug)]
struct Walk<'a> {
    body: &'a [u8],
    reader: Reader<'a>,
    /// Elements left in the block.
    left: u64,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(body: &'a [u8], at: u32) -> Self {
        Walk { body, reader: Reader::new(body, at as usize), left: 0, ended: false }
    }

    /// Makes sure that an element follows.
    fn open(&mut self, least: usize) -> Option<()> {
        if self.ended {
            return None;
        }
        if self.left == 0 {
            self.left = self.reader.block(least).map_or(0, |b| b.count);
            self.ended = self.left == 0;
        }
        (!self.ended).then(|| self.left -= 1)
    }

    fn value(&mut self, scanner: &Scanner, slots: &mut [u32]) -> Option<u32> {
        let at = self.reader.at();
        match scanner.scan_at(self.body, at, slots) {
            Ok(end) => {
                self.reader = Reader::new(self.body, end);
                Some(at as u32)
            }
            Err(_) => {
                self.ended = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::Layout, schema::Schema};
    use std::sync::Arc;

    fn scanner(avsc: &str) -> Scanner {
        let schema = Arc::new(Schema::parse(avsc).unwrap());
        let root = schema.root();
        let mut layout = Layout::new(schema, root);
        layout.value(&[]);
        layout.build()
    }

    #[test]
    fn entries_come_block_by_block_with_their_values() {
        let values = scanner(r#"["null", "int"]"#);
        // {"a": 1}, then a block of known size with {"b": null}.
        let body = [9, 2, 2, b'a', 2, 2, 1, 6, 2, b'b', 0, 0];
        let mut entries = Entries::new(&values, &body, 1);
        let mut slots = [0];
        assert_eq!(entries.next(&mut slots), Some(("a", 4)));
        assert_eq!(slots, [5]);
        assert_eq!(entries.next(&mut slots), Some(("b", 10)));
        assert_eq!(slots, [crate::codec::NULL]);
        assert_eq!((entries.next(&mut slots), entries.next(&mut slots)), (None, None));
    }

    #[test]
    fn items_without_bytes_are_counted_too() {
        let nothing = scanner(r#""null""#);
        let mut items = Items::new(&nothing, &[6, 0], 0);
        let mut count = 0;
        while items.next(&mut [0]).is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn a_body_that_nothing_proved_ends_the_walk() {
        let text = scanner(r#""string""#);
        assert_eq!(Items::new(&text, &[4, 2, b'a', 9], 0).next(&mut [0]), Some(1));
        let mut cut = Items::new(&text, &[4, 2, b'a', 9], 0);
        cut.next(&mut [0]);
        assert_eq!((cut.next(&mut [0]), cut.next(&mut [0])), (None, None));
        assert_eq!(Items::new(&text, &[], 7).next(&mut [0]), None);
    }
}
