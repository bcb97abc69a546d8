//! What each trait promises, checked over every implementation of it.

mod loss;
mod probe;
mod scheduler;
mod student;
mod teacher;
