//! The module: one registration line.
