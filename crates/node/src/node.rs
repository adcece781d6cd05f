//! The loop, one turn at a time.

use crate::fault::NodeFault;
use crate::plan::{Plan, Restrictions};
use crate::receipt::{Kept, Log, Receipt, Signer};
use crate::replay::{Replay, rules};
use crate::statement::{BadStatement, Signed};
use crate::writer::{self, Writer};
use journal::merkle::Tree;
use journal::{Cut, Head, Options, Snapshot, Start, Storage};
use kernel::Kernel;
use kernel::state::State;
use protocol::effect::AdmittedOrder;
use protocol::{Batch, Effect, Input, MarketId};
use std::collections::VecDeque;
use units::Timestamp;
use venue::{Exchange, Limits};

/// How a node runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A segment that has grown to so many bytes is followed by the next.
    pub segment_bytes: u64,
    /// A snapshot is kept every so many batches; at least one.
    pub snapshot_every: u64,
    /// Of the embedded venue's books.
    pub limits: Limits,
}

/// A batch that was decided, with its effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The batch's.
    pub height: u64,
    /// The batch's.
    pub at: Timestamp,
    /// The batch's, of which a refusal names one by its place.
    pub inputs: Vec<Input>,
    /// In order.
    pub effects: Vec<Effect>,
    /// What of it is in the log.
    pub receipt: Receipt,
    /// One for each change of a market's mode.
    pub plans: Vec<Plan>,
}

/// What a node found when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Behind which height the snapshot stands from which it went on.
    pub snapshot: u64,
    /// Batches that were decided again.
    pub replayed: u64,
    /// What a crash left at the end of the journal.
    pub cut: Option<Cut>,
}

/// A kernel with its journal and the embedded venue.
pub struct Node {
    kernel: Kernel,
    exchange: Exchange,
    writer: Writer,
    config: Config,
    /// Signs checkpoints.
    signer: Option<Signer>,
    /// What was decided, durable or not.
    log: Log,
    /// Behind the last batch, durable or not.
    head: Head,
    /// What the venue reported and no batch holds yet.
    reported: Vec<Input>,
    /// Decided, and not released.
    waiting: VecDeque<Decided>,
    /// Each market's restriction behind the last batch that changed its mode.
    restrictions: Restrictions,
}

impl Node {
    /// Goes on from what a journal holds, or begins with `genesis` where it holds nothing; with a `signer` each snapshot comes with a signed checkpoint. The first batch of a node that goes on says so:
    /// until fresh prices are back its markets stand still.
    ///
    /// # Errors
    /// A journal that can't be read to its end, that other rules wrote, or that is another venue's; [`NodeFault::NoBeginning`].
    pub fn open<S>(
        storage: S,
        config: Config,
        signer: Option<Signer>,
        genesis: Kernel,
    ) -> Result<(Node, Option<Recovered>), NodeFault>
    where
        S: Storage + Send + 'static,
        S::File: Send,
    {
        let options = Options { rules: rules(), segment_bytes: config.segment_bytes };
        let mut opened = journal::open(storage, Start::Newest)?;
        let Some(snapshot) = opened.snapshot.take() else {
            if opened.next_record()?.is_some() {
                return Err(NodeFault::NoBeginning);
            }
            let mut journal = opened.into_journal(options)?;
            let log = Log::new(Tree::new(), &genesis.state().params());
            journal.keep(&Snapshot { head: journal.head(), payload: Kept::of(&log.tree, genesis.state()) })?;
            return Ok((Node::on((genesis, log), Head::GENESIS, Writer::begin(journal), config, signer), None));
        };
        let mut replay = Replay::of(&snapshot)?;
        if replay.venue() != genesis.state().governance.venue {
            return Err(NodeFault::OtherVenue);
        }
        let mut effects = Vec::new();
        while let Some(record) = opened.next_record()? {
            replay.step(&record, &mut effects)?;
        }
        let head = opened.head();
        let (snapshot, cut) = (snapshot.head.height, opened.cut().cloned());
        let journal = opened.into_journal(options)?;
        let mut node = Node::on(replay.into_parts(), head, Writer::begin(journal), config, signer);
        let at = node.kernel.state().at;
        node.restore_venue();
        node.decide(at, vec![Input::Restart])?;
        Ok((node, Some(Recovered { snapshot, replayed: head.height - snapshot, cut })))
    }

    fn on((kernel, log): (Kernel, Log), head: Head, writer: Writer, config: Config, signer: Option<Signer>) -> Node {
        let exchange = Exchange::new(&kernel.state().params(), config.limits);
        let restrictions = Restrictions::of(kernel.state());
        let (reported, waiting) = (Vec::new(), VecDeque::new());
        Node { kernel, exchange, writer, config, signer, log, head, reported, waiting, restrictions }
    }

    /// Every order that the kernel knows enters the books again, and markets are in the mode that it wants.
    fn restore_venue(&mut self) {
        let state = self.kernel.state();
        for market in state.markets() {
            let restriction = *market.breaker.restriction();
            let to = market.breaker.mode();
            let effect = Effect::Mode { market: market.id, from: to, to, restriction, causes: 0 };
            let _in_its_mode = self.exchange.accept(&effect, &mut self.reported);
        }
        for pool in &state.pools {
            for (id, order) in &pool.orders {
                let (account, market, size, limit) = (order.account, order.market, order.remaining, order.limit);
                let order = AdmittedOrder { id: *id, account, market, size, limit };
                // One for which there is no room is reported as done.
                let _refused = self.exchange.accept(&Effect::Admit { order }, &mut self.reported);
            }
        }
    }

    /// What the kernel remembers.
    #[must_use]
    pub const fn state(&self) -> &State {
        self.kernel.state()
    }

    /// The embedded venue.
    #[must_use]
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Behind the last batch, durable or not.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// When the kernel could decide something without an input; whoever drives the node takes a turn then.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.kernel.next_due().filter(|due| self.kernel.state().at < *due)
    }

    /// Sequences `inputs` at `at`, behind what the venue reported and after whatever the kernel decides by itself before. A time before the last
    /// batch's is that one's: the sequence never goes back.
    ///
    /// # Errors
    /// A journal that failed. The node is at its end then, and so should be its process.
    ///
    /// # Panics
    /// Where a statement is among them: those come through [`Node::hear`], which looks at their signatures.
    pub fn turn(&mut self, at: Timestamp, inputs: Vec<Input>) -> Result<(), NodeFault> {
        let is_statement = |input: &Input| matches!(input, Input::Statement(_));
        assert!(!inputs.iter().any(is_statement), "whoever brings statements has their signatures looked at");
        let at = self.catch_up(at)?;
        self.decide_with_reports(at, inputs)
    }

    /// Hears a signed statement at `at`, in a batch of its own. The height of that batch, which says what came of it; or why it is no
    /// statement of a key of this venue, which leaves no trace in the journal.
    ///
    /// # Errors
    /// As [`Node::turn`].
    pub fn hear(&mut self, at: Timestamp, signed: &Signed) -> Result<Result<u64, BadStatement>, NodeFault> {
        // Who holds which key may change in what is due before.
        let at = self.catch_up(at)?;
        match signed.hear(&self.kernel.state().governance, at) {
            Err(bad) => Ok(Err(bad)),
            Ok(said) => {
                self.decide_with_reports(at, vec![Input::Statement(Box::new(said))])?;
                Ok(Ok(self.head.height))
            }
        }
    }

    /// Decides whatever the kernel decides by itself before `at`, or before the last batch's time if that is later: the sequence never
    /// goes back.
    fn catch_up(&mut self, at: Timestamp) -> Result<Timestamp, NodeFault> {
        let at = at.max(self.kernel.state().at);
        while let Some(due) = self.next_due().filter(|due| *due < at) {
            self.decide(due, Vec::new())?;
        }
        Ok(at)
    }

    fn decide_with_reports(&mut self, at: Timestamp, inputs: Vec<Input>) -> Result<(), NodeFault> {
        let mut all = std::mem::take(&mut self.reported);
        all.extend(inputs);
        self.decide(at, all)
    }

    fn decide(&mut self, at: Timestamp, inputs: Vec<Input>) -> Result<(), NodeFault> {
        let batch = Batch { height: self.head.height + 1, at, seed: self.head.hash, inputs };
        let entry = self.head.entry(codec::to_bytes(&batch));
        self.head = entry.head();
        self.writer.append(entry)?;
        let mut effects = Vec::new();
        self.kernel.apply(&batch, &mut effects);
        let receipt = self.log.push(self.head, &effects, self.kernel.state());
        let plans = self.restrictions.plans(self.kernel.state(), &batch.inputs, &effects);
        self.waiting.push_back(Decided { height: batch.height, at, inputs: batch.inputs, effects, receipt, plans });
        if self.head.height.is_multiple_of(self.config.snapshot_every.max(1)) {
            self.keep()?;
        }
        Ok(())
    }

    fn keep(&self) -> Result<(), NodeFault> {
        let snapshot = Snapshot { head: self.head, payload: Kept::of(&self.log.tree, self.kernel.state()) };
        let sign = |signer: &Signer| signer.checkpoint(self.log.tree.size(), &self.log.tree.root());
        let checkpoint = self.signer.as_ref().map(sign);
        Ok(self.writer.keep(writer::Kept { snapshot, checkpoint })?)
    }

    /// The next batch whose effects may leave, since it is durable. They are carried out by the embedded venue, whose reports go into the next turn.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn released(&mut self) -> Result<Option<Decided>, NodeFault> {
        let synced = self.writer.synced()?;
        if self.waiting.front().is_none_or(|decided| synced < decided.height) {
            return Ok(None);
        }
        let decided = self.waiting.pop_front();
        for effect in decided.iter().flat_map(|decided| &decided.effects) {
            // An order that does not enter is reported as done, and the kernel decides again.
            let _refused = self.exchange.accept(effect, &mut self.reported);
        }
        Ok(decided)
    }

    /// Whether effects wait for their cause to be durable.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|decided| !decided.effects.is_empty())
    }

    /// Returns once everything that was decided is durable, so that all of it may leave.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn settle(&self) -> Result<(), NodeFault> {
        Ok(self.writer.wait(self.head.height)?)
    }

    /// Clears a market of the embedded venue. What it trades goes into the next turn.
    pub fn auction(&mut self, market: MarketId) {
        let Some(mark) = self.kernel.state().market(market).map(|market| market.mark.price) else { return };
        // The only refusal is of a market that is not there.
        let _unknown = self.exchange.auction(market, &self.head.hash, mark, &mut self.reported);
    }

    /// Ends with a snapshot, so that the next node, also one of other rules, has nothing to decide again.
    ///
    /// # Errors
    /// A journal that failed.
    pub fn close(self) -> Result<Head, NodeFault> {
        self.keep()?;
        let head = self.head;
        self.writer.end()?;
        Ok(head)
    }
}
