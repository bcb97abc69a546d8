//! no
