//! Small histories with known verdicts, written by hand.
