//! The loop's side: what it puts down, and what it is asked.

use crate::board::{Board, Entry, ReceiptView};
use crate::intake::{Intake, Listed, Listing};
use crate::plan_view::{AccountView, PlanView, accounts};
use crate::view::{DeliveryView, LiquidationMap, Names, View, time};
use node::statement::told;
use node::{BadStatement, Decided, Delivered, Node, NodeFault, Signed};
use port::words::hex;
use protocol::{AccountId, Effect, Input, PoolId, Reject};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use units::Timestamp;

/// Statements and questions that may wait for the loop.
const ASKED_MAX: usize = 64;
/// Those that the loop answers between two batches.
const HEARD_MAX: usize = 8;
/// The least time between two views, unless a mode changed.
const VIEW_EVERY: Duration = Duration::from_millis(250);
/// Likewise between two maps of liquidations.
const MAPS_EVERY: Duration = Duration::from_secs(1);
/// The most effects of a batch that its receipt shows.
const SHOWN_MAX: usize = 20;

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was decided in the batch of this height; what was said of it.
    Decided {
        /// The batch's.
        height: u64,
        /// What governance said.
        said: Vec<String>,
    },
    /// The kernel refused it, or would.
    Refused {
        /// The batch's; none where it was refused at the door.
        height: Option<u64>,
        /// The stable number.
        code: u16,
        /// In the kernel's words.
        why: String,
    },
    /// It is no statement of a key of this venue.
    Unheard(String),
}

/// What waits for the loop, and who waits for its answer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A statement to be heard.
    Statement { signed: Signed, reply: oneshot::Sender<Answer> },
    /// Accounts of a pool from one on, in order of number.
    Accounts { pool: PoolId, from: AccountId, most: usize, reply: oneshot::Sender<Vec<AccountView>> },
}

/// What the loop writes to.
#[derive(Debug)]
pub struct Publisher {
    board: Arc<Board>,
    asked: mpsc::Receiver<Asked>,
    names: Names,
    intake: Arc<Intake>,
    delivery: Option<DeliveryView>,
    /// Statements that were heard in batches which have not left yet.
    pending: Vec<(u64, oneshot::Sender<Answer>)>,
    seen_at: Instant,
    mapped_at: Instant,
    /// Something changed that readers should see at once.
    is_pressing: bool,
}

/// What the server reads from.
#[derive(Clone, Debug)]
pub struct Window {
    pub(crate) board: Arc<Board>,
    pub(crate) ask: mpsc::Sender<Asked>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) pools: Arc<[String]>,
}

impl Window {
    /// Calls `read` with what there is to see now.
    pub fn seen<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.board.view().view)
    }
}

impl Publisher {
    /// Both ends, with the node as it is.
    #[must_use]
    pub fn new(node: &Node, names: Names) -> (Publisher, Window) {
        let board = Arc::new(Board::new(View::of(node, &names)));
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        let listed = |market: &kernel::state::Market| {
            let sources = names.sources.get(usize::from(market.id.0));
            let sources = sources.into_iter().flatten().map(|(name, _)| name.clone()).collect();
            Listed { name: names.market(market.id), scale: market.params.scale, sources }
        };
        // By number, in which the state has them by pool.
        let mut markets: Vec<_> = node.state().markets().map(|market| (market.id, listed(market))).collect();
        markets.sort_by_key(|(id, _)| *id);
        let pools: Vec<String> = node.state().pools.iter().map(|pool| names.pool(pool.id)).collect();
        let markets = markets.into_iter().map(|(_, listed)| listed).collect();
        let intake = Arc::new(Intake::new(Listing { markets, pools: pools.clone() }));
        let window = Window { board: Arc::clone(&board), ask, intake: Arc::clone(&intake), pools: pools.into() };
        let now = Instant::now();
        let pending = Vec::new();
        let mut publisher = Publisher {
            board,
            asked,
            names,
            intake,
            delivery: None,
            pending,
            seen_at: now,
            mapped_at: now,
            is_pressing: false,
        };
        publisher.show(node);
        publisher.map(node);
        (publisher, window)
    }

    /// A line for the timeline.
    pub fn tell(&self, at: Timestamp, height: u64, market: &str, kind: &'static str, text: &str, count: u64) {
        let (market, text) = (market.to_owned(), text.to_owned());
        self.board.put_entry(Entry { id: 0, at: time(at), height, market, kind, text, count });
    }

    /// A batch whose effects left: its receipt is kept where it decided something, and whoever asked for something in it is answered.
    pub fn released(&mut self, decided: &Decided) {
        self.is_pressing |=
            decided.effects.iter().any(|effect| matches!(effect, Effect::Mode { .. } | Effect::Governed { .. }));
        if !decided.effects.is_empty() {
            let receipt = &decided.receipt;
            self.board.put_receipt(ReceiptView {
                height: decided.height,
                at: time(decided.at),
                record: hex(&receipt.record),
                effects_digest: hex(&receipt.effects),
                parameters: hex(&receipt.parameters),
                rules: hex(&receipt.rules),
                leaf: hex(&receipt.leaf()),
                inputs: decided.inputs.len(),
                effects: decided.effects.iter().take(SHOWN_MAX).map(|effect| format!("{effect:?}")).collect(),
                effects_count: decided.effects.len(),
            });
        }
        for plan in &decided.plans {
            self.board.put_plan(PlanView::of(plan, &self.names));
        }
        while let Some(place) = self.pending.iter().position(|(height, _)| *height == decided.height) {
            let (height, reply) = self.pending.swap_remove(place);
            // Whoever asked may have gone.
            let _gone = reply.send(answer(height, decided));
        }
    }

    /// Takes in how far the venue's side is.
    pub fn delivering(&mut self, delivered: &Delivered) {
        let delivery = DeliveryView::of(delivered);
        self.is_pressing |=
            self.delivery.as_ref().is_none_or(|before| before.state != "stopped" && delivery.state == "stopped");
        self.delivery = Some(delivery);
    }

    /// Hears who waits, and shows what there is to see if it is time.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn look(&mut self, node: &mut Node, at: Timestamp) -> Result<(), NodeFault> {
        for _ in 0..HEARD_MAX {
            let Ok(asked) = self.asked.try_recv() else { break };
            match asked {
                Asked::Statement { signed, reply } => self.hear(node, at, &signed, reply)?,
                Asked::Accounts { pool, from, most, reply } => {
                    let _gone = reply.send(accounts(node.state(), pool, from, most, &self.names));
                }
            }
        }
        let at = at.max(node.state().at);
        let observed = self.intake.take(at);
        if !observed.is_empty() {
            node.turn(at, observed)?;
        }
        if VIEW_EVERY <= self.seen_at.elapsed() || self.is_pressing {
            self.show(node);
        }
        if MAPS_EVERY <= self.mapped_at.elapsed() {
            self.map(node);
        }
        Ok(())
    }

    fn hear(
        &mut self,
        node: &mut Node,
        at: Timestamp,
        signed: &Signed,
        reply: oneshot::Sender<Answer>,
    ) -> Result<(), NodeFault> {
        match node.hear(at, signed)? {
            Ok(height) => self.pending.push((height, reply)),
            Err(BadStatement::Refused(why)) => {
                let (code, why) = (why.code(), format!("{why:?}"));
                let _gone = reply.send(Answer::Refused { height: None, code, why });
            }
            Err(bad) => {
                let _gone = reply.send(Answer::Unheard(bad.to_string()));
            }
        }
        Ok(())
    }

    /// Shows what there is to see now.
    pub fn show(&mut self, node: &Node) {
        self.board.put_view(View::of(node, &self.names).with_delivery(self.delivery.clone()));
        self.seen_at = Instant::now();
        self.is_pressing = false;
    }

    fn map(&mut self, node: &Node) {
        let state = node.state();
        let maps = state.markets().filter_map(|market| LiquidationMap::of(state, market.id, &self.names));
        self.board.put_maps(maps.collect());
        self.mapped_at = Instant::now();
    }
}

fn answer(height: u64, decided: &Decided) -> Answer {
    let is_statement = |n: &u32| matches!(decided.inputs.get(*n as usize), Some(Input::Statement(_)));
    let refused = decided.effects.iter().find_map(|effect| match effect {
        Effect::Rejected { input, reject: Reject::Refused { why } } if is_statement(input) => Some(*why),
        _ => None,
    });
    match refused {
        Some(why) => Answer::Refused { height: Some(height), code: why.code(), why: format!("{why:?}") },
        None => {
            let said = decided.effects.iter().filter_map(|effect| match effect {
                Effect::Governed { what } => Some(told(what, time).1),
                _ => None,
            });
            Answer::Decided { height, said: said.collect() }
        }
    }
}
