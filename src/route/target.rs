//! A destination as a program writes to it: how the rows in its outcomes are to be read.

use crate::{
    codec::CellReader,
    config::{TableDestination, TopicDestination},
};

#[derive(Clone, Debug)]
pub enum Target {
    Topic(TopicTarget),
    Table(TableTarget),
}

#[derive(Clone, Debug)]
pub struct TopicTarget {
    pub destination: TopicDestination,
}

#[derive(Clone, Debug)]
pub struct TableTarget {
    pub destination: TableDestination,
    /// In the order of `destination.columns`.
    pub columns: Vec<TargetColumn>,
}

#[derive(Clone, Debug)]
pub struct TargetColumn {
    pub name: String,
    pub reader: CellReader,
    pub origin: Origin,
}

/// Which bytes a column's slot is an offset of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The row's body.
    Body,
    /// The outcomes' own bytes: a value that an enricher set, or a computed column.
    Out,
}
