//! Loads from the order to the runtime's answer, against a runtime and a store made here.

mod crashes;
mod fakes;
mod http;
mod loads;
mod pod;
