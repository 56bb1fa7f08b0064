//! The operations between matrix products: one entry each, which picks the fused CPU kernel or the
//! composition of Burn's operations.

mod attention;
mod cross_entropy;
mod kernel;
mod panels;
mod rms_norm;
mod rotary;
pub(crate) mod simd;
mod swiglu;
#[cfg(test)]
mod testing;

pub(crate) use attention::{Heads, first_seen, packed_attention};
pub use cross_entropy::cross_entropy;
pub(crate) use kernel::is_on_cpu;
pub(crate) use panels::Panels;
pub(crate) use rms_norm::{normalise, rms_norm};
pub(crate) use rotary::{Direction, Rotary};
pub(crate) use swiglu::{gate, swiglu};
