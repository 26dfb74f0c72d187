//! Believable records of the shipped schemas.
