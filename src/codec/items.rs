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
