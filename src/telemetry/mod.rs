//! Named telemetry events: each verb writes its log line, its metric, and its part of the Board that pages read.
