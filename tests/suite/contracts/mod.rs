//! The contract of each trait, checked for every implementation.

mod loss;
mod probe;
mod scheduler;
mod student;
mod teacher;
