//! One file per verb.

pub mod bench;
pub mod collect;
pub mod compare;
pub mod evaluate;
pub mod export;
pub mod generate;
pub mod import;
pub mod inspect;
pub mod iterate;
pub mod pretrain;
pub mod repair;
pub mod report;
pub mod train;
pub mod verify;
