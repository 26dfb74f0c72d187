//! Everything that listens: bind with a message that names a busy address, limits, graceful stop.
