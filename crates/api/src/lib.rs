//! What a node knows, over HTTP: a read model, server-sent events, the dashboard, and a door for signed statements.
//!
//! ```text
//! node's loop → Publisher → View, entries → GET, event stream → reader
//!      ↑                                                          │
//!      └────── Asked ← bounded queue ← POST /api/v1/statements ←──┘
//! ```
//!
//! The loop never waits for a reader: it puts down what there is to see and goes on. A reader who is too slow is told so and cut. Nobody
//! changes anything here: what comes in is a statement with its signature, and the node says what became of it.
//!
//! Start at [`publisher::Publisher`] on the loop's side, and at [`server::serve`] on the other.

mod board;
mod guard;
mod problem;
pub mod publisher;
pub mod server;
pub mod view;

pub use publisher::{Answer, Asked, Publisher, Window};
pub use server::{Settings, serve};
pub use view::{Names, View};
