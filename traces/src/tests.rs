//! Tests of the trace file as a whole.
