//! librdkafka's list of partitions: partition, offset, metadata, error.

use super::fault::{Fault, check};
use crate::record::Partition;
use rdkafka::bindings as rd;
use std::{
    ffi::{CStr, CString, c_void},
    ptr::NonNull,
};

/// An owned list.
pub(super) struct List(NonNull<rd::rd_kafka_topic_partition_list_t>);

// SAFETY: the list is plain memory that only its owner reaches.
unsafe impl Send for List {}

/// One element, copied out.
pub(super) struct Element<'a> {
    pub partition: Partition,
    pub offset: i64,
    pub error: rd::rd_kafka_resp_err_t,
    pub metadata: &'a [u8],
}

impl Element<'_> {
    pub fn check(&self, what: &str) -> Result<(), Fault> {
        check(self.error, format_args!("{what} {}", self.partition))
    }
}

impl List {
    pub fn new() -> List {
        // SAFETY: a plain constructor.
        let list = unsafe { rd::rd_kafka_topic_partition_list_new(8) };
        List(NonNull::new(list).expect("librdkafka aborts rather than return a null list"))
    }

    /// A list with one offset for all.
    pub fn at<'a>(partitions: impl IntoIterator<Item = &'a Partition>, offset: i64) -> List {
        partitions.into_iter().map(|p| (p, offset)).collect()
    }

    /// A copy of a list that librdkafka lends.
    ///
    /// # Safety
    /// `list` is a live list.
    pub unsafe fn copied(list: *const rd::rd_kafka_topic_partition_list_t) -> List {
        // SAFETY: as the caller promises; the copy is ours.
        let copy = unsafe { rd::rd_kafka_topic_partition_list_copy(list) };
        List(NonNull::new(copy).expect("librdkafka aborts rather than return a null list"))
    }

    /// Takes a list over.
    ///
    /// # Safety
    /// `list` is live, and nobody else's.
    pub unsafe fn owned(list: *mut rd::rd_kafka_topic_partition_list_t) -> List {
        List(NonNull::new(list).expect("the call that returns a list has succeeded"))
    }

    pub fn push(&mut self, partition: &Partition, offset: i64) {
        self.push_with(partition, offset, "");
    }

    /// Adds an element with the string that an offset commit stores beside the offset.
    pub fn push_with(&mut self, partition: &Partition, offset: i64, metadata: &str) {
        // A name with a NUL byte cannot be Kafka's: the empty name is refused by every call that takes the list.
        let topic = CString::new(&*partition.topic).unwrap_or_default();
        // SAFETY: the list is live, and copies the name. The element it returns is valid until the next change of the
        // list; its metadata is freed by librdkafka with free(), so it comes from malloc().
        unsafe {
            let element = rd::rd_kafka_topic_partition_list_add(self.ptr(), topic.as_ptr(), partition.id);
            (*element).offset = offset;
            if !metadata.is_empty() {
                let copy = libc::malloc(metadata.len());
                if !copy.is_null() {
                    std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast::<u8>(), metadata.len());
                    (*element).metadata = copy.cast::<c_void>();
                    (*element).metadata_size = metadata.len();
                }
            }
        }
    }

    pub fn ptr(&self) -> *mut rd::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    pub fn is_empty(&self) -> bool {
        // SAFETY: the list is live.
        unsafe { (*self.ptr()).cnt == 0 }
    }

    pub fn partitions(&self) -> Vec<Partition> {
        self.elements().map(|e| e.partition).collect()
    }

    pub fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        // SAFETY: the list is live while borrowed, `elems` has `cnt` elements, and nothing changes it in between.
        let elements = unsafe {
            let list = &*self.ptr();
            match usize::try_from(list.cnt) {
                Ok(n) if n > 0 && !list.elems.is_null() => std::slice::from_raw_parts(list.elems, n),
                _ => &[],
            }
        };
        elements.iter().map(|e| {
            // SAFETY: an element's topic is a C string, its metadata `metadata_size` bytes or null; both live with it.
            let (topic, metadata) = unsafe {
                let metadata = match e.metadata.is_null() {
                    true => &[][..],
                    false => std::slice::from_raw_parts(e.metadata.cast::<u8>(), e.metadata_size),
                };
                (CStr::from_ptr(e.topic).to_string_lossy(), metadata)
            };
            Element { partition: Partition::new(&topic, e.partition), offset: e.offset, error: e.err, metadata }
        })
    }

    /// The first element's error, if one has any.
    pub fn check(&self, what: &str) -> Result<(), Fault> {
        self.elements().try_for_each(|e| e.check(what))
    }
}

impl<'a> FromIterator<(&'a Partition, i64)> for List {
    fn from_iter<I: IntoIterator<Item = (&'a Partition, i64)>>(positions: I) -> List {
        let mut list = List::new();
        positions.into_iter().for_each(|(p, offset)| list.push(p, offset));
        list
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_what_was_put_in() {
        let (a, b) = (Partition::new("orders", 0), Partition::new("grün", 7));
        let mut list = List::at([&a], -2);
        list.push_with(&b, 42, "note");
        let found: Vec<_> = list.elements().map(|e| (e.partition, e.offset, e.metadata.to_vec())).collect();
        assert_eq!(found, [(a, -2, vec![]), (b, 42, b"note".to_vec())]);
        assert!(list.check("x").is_ok());
    }
}
