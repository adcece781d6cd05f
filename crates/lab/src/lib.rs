//! Incidents, market feeds, baselines, reference model, metrics and reports. Floats live here, never in the kernel.

pub mod feed;
pub mod fixtures;
pub mod incident;
pub mod live;
pub mod model;
pub mod oracle;
pub mod reference;
pub mod replay;
pub mod report;
pub mod trips;
pub mod vectors;
pub mod walk;
