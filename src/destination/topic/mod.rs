//! Topics: transactions, acknowledgements, refusals, dead letters as records.
