//! Strings that no log may show.
