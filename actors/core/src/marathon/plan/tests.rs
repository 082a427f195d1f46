//! Tests.
//! None.
