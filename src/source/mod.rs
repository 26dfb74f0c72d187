//! Assignment, epochs, seeks and start positions: from a group membership to batches whose origin is certain.
