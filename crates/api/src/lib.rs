//! What a node knows, over HTTP: a read model, server-sent events, the dashboard, and a door for signed statements and observations.
//!
//! ```text
//! node's loop → Publisher → View, entries, plans → GET, event stream → reader
//!      ↑                                                               │
//!      ├────── Asked ← bounded queue ← POST /api/v1/statements ←───────┤
//!      └────── Intake ← newest of each feed ← POST /api/v1/observations, WebSocket
//! ```
//!
//! The loop never waits for a reader: it puts down what there is to see and goes on. A reader who is too slow is told so and cut. Nobody
//! changes anything here: what comes in is a statement with its signature, or what somebody observes, and the node says what became of it.
//!
//! Start at [`publisher::Publisher`] on the loop's side, and at [`server::serve`] on the other.

mod access;
mod assets;
mod board;
mod door;
mod intake;
mod once;
pub mod plan_view;
mod problem;
pub mod publisher;
mod reads;
pub mod server;
mod stream;
mod tls;
pub mod view;

pub use access::{BadTokens, Scope, Tokens};
pub use plan_view::{PlanView, Wrong};
pub use publisher::{Answer, Publisher, Window};
pub use server::{Settings, Unserved, openapi, serve};
pub use tls::{BadTls, Tls};
pub use view::{Names, View};
