//! What the kernel answers with, written down for whoever has to act on it: every refusal, effect, exclusion, state, rung
//! and mode with its cause and its remedy. `docs/reference.md` is this text.
//!
//! What holds: each table is one list from which also a `match` without a wildcard is made, over all fields where a
//! variant has some. So a variant or field that is added to the protocol does not compile before it has its text here.
//!
//! Start at [`text`].

use protocol::governance::{Governed, Refusal, Role, Verb, Void};
use protocol::quality::Exclusion;
use protocol::{Effect, Mode, QualityState, Reject, Rung};
use std::fmt::Write as _;

/// A variant in words.
struct Entry {
    /// As the code writes it.
    name: &'static str,
    /// Fields and what they hold.
    fields: &'static [(&'static str, &'static str)],
    /// What it says.
    means: &'static str,
    /// What leads to it.
    cause: &'static str,
    /// What to do.
    remedy: &'static str,
}

/// A table of entries, and the proof that it leaves nothing of its enum out.
macro_rules! table {
    // With a function of the variants' codes.
    ($table:ident: $of:ident coded by $codes:ident; $($body:tt)*) => {
        table! { $table: $of; $($body)* }
        table! { $codes of $of; $($body)* }
    };
    ($codes:ident of $of:ident; $(
        $variant:ident $({ $($field:ident: $holds:literal),* })?
            means $means:literal
            cause $cause:literal
            remedy $remedy:literal;
    )*) => {
        fn $codes() -> Vec<u16> {
            vec![$($of::$variant $({ $($field: Default::default()),* })?.code()),*]
        }
    };
    ($table:ident: $of:ident; $(
        $variant:ident $({ $($field:ident: $holds:literal),* })?
            means $means:literal
            cause $cause:literal
            remedy $remedy:literal;
    )*) => {
        const $table: &[Entry] = &[$(Entry {
            name: stringify!($variant),
            fields: &[$($((stringify!($field), $holds)),*)?],
            means: $means,
            cause: $cause,
            remedy: $remedy,
        }),*];

        const _: fn(&$of) = |value| match value {
            $($of::$variant $({ $($field: _),* })? => (),)*
        };
    };
}

table! { REJECTS: Reject coded by codes;
    UnknownPool
        means "no such pool"
        cause "a deposit, withdrawal, insurance deposit or report of a chain names a pool's number that is not listed"
        remedy "correct the mapping of pools; it comes from the policy's order";
    UnknownMarket
        means "no such market"
        cause "the market's number is not listed, or not in this account's pool"
        remedy "correct the mapping of markets";
    UnknownSource
        means "the market lists no such source"
        cause "an observation of a source that the policy's listing left out"
        remedy "list it in the policy, or send only listed sources";
    UnknownAccount
        means "no such account in the pool"
        cause "an order or withdrawal comes before the first deposit, or names another pool's account"
        remedy "deposit first: a deposit opens an account";
    UnknownOrder
        means "no such order in this market"
        cause "it was filled or removed before; or somebody cancels another's order or the kernel's"
        remedy "look at what was filled or removed before; liquidation orders can't be cancelled";
    OutOfRange
        means "a value outside its range"
        cause "an amount, size, price, limit, confidence, depth, span of a chain or funding rate that is zero, negative or too large to be carried"
        remedy "correct the value; of an observation only a negative confidence is refused, a bad price is taken and left out";
    OutOfOrder
        means "older than what was said already"
        cause "the source already published or delivered something newer, or a newer block was reported; or a funding payment comes before its interval is over"
        remedy "nothing, where a late message is normal; otherwise look at the source's clock and at duplicate connections";
    ReceivedAfterBatch
        means "from the batch's future"
        cause "an observation claims to be received, or a block to be produced, after the batch that carries it"
        remedy "correct the sequencer: a batch's time is not before what it contains";
    OrderIdTaken
        means "the id can't be used"
        cause "it rests already in the pool, or has the kernel's bit set"
        remedy "correct the sequencer, which assigns ids: a fresh one below 2^63 for each order, never one that a client chose";
    TooSmall { min: "the least, micro-USD" }
        means "too little to open an account with"
        cause "a first deposit below the pool's `account_min`"
        remedy "deposit at least `min`; later deposits may be of any size";
    TooManyAccounts { max: "the limit" }
        means "the pool is full"
        cause "it holds `accounts_max` accounts, and this deposit would open one more"
        remedy "raise `accounts_max`, after a look at who opens accounts";
    TooManyOrders { max: "the limit" }
        means "the account has as many resting orders as allowed"
        cause "it holds `orders_per_account_max` orders"
        remedy "cancel some, or raise `orders_per_account_max`";
    Restricted
        means "denied by the market's mode, or by the account's state"
        cause "the mode does not permit the action; or the account is in liquidation and the order does more than reduce; or a \
               withdrawal while a position is in a market whose mode permits none"
        remedy "wait for the mode to step back; deposits and cancels go on in every mode, reducing up to ReduceOnly";
    PriceQuality
        means "the price is not good enough for the action"
        cause "the index's state or rung does not bear the action, or something that the account holds has no price"
        remedy "look at the market's index and at its sources' exclusions";
    TooLarge { max: "largest size accepted now, lots" }
        means "the order is larger than the market takes now"
        cause "its size is above `order_size_max`, or above the part of it that is accepted while the market is not Normal"
        remedy "split it";
    OpenInterest { max: "the limit, lots" }
        means "the market's open interest would pass its limit"
        cause "open interest, with every resting opening order of a side counted as filled, would be above `open_interest_max`"
        remedy "wait for reductions and cancels, or raise `open_interest_max`";
    CollateralFull { max: "the most lots" }
        means "the pool takes no more of this as collateral"
        cause "what accounts have of it and this would be more than `collateral.deposit_max`, which is zero where the policy takes none"
        remedy "pay in money or something else";
    Margin { free: "free margin before, micro-USD", needed: "what it would take, micro-USD" }
        means "margin does not cover it"
        cause "free margin in the worst case of all resting orders, without gains at a doubtful price, is less than is needed; or a \
               withdrawal asks for more than the pool has"
        remedy "deposit `needed` less `free`, cancel orders or reduce";
    BeyondLimit { limit: "the order's limit" }
        means "a trade at a worse price than an order allows"
        cause "the venue's matching is wrong"
        remedy "stop the venue and compare its book with the admitted orders";
    BeyondSize { remaining: "lots left" }
        means "a trade larger than what an order has left"
        cause "the venue's matching is wrong, or a trade was reported twice"
        remedy "stop the venue and look for the trade in what it reported before";
    Mismatch
        means "a trade of two orders that may not meet"
        cause "same side, another market, one account on both sides, or the backstop with anything but a liquidation"
        remedy "stop the venue and compare its book with the admitted orders";
    Overflow
        means "a number would not fit; nothing was changed"
        cause "a size, price or amount far above any that is honest"
        remedy "look at the size and price, and at where they come from";
    Refused { why: "as below" }
        means "what a statement asked for was refused"
        cause "who may do what, and the limits of it: the table of governance's refusals"
        remedy "as below; a statement whose key, nonce and expiry were good is used up, so sign another";
}

table! { REFUSALS: Refusal coded by refusal_codes;
    NotAllowed
        means "the key may not do this"
        cause "its role, or that there is no such key, or that it was revoked"
        remedy "have somebody sign whose role may: the table of roles";
    Nonce { next: "the key's next nonce" }
        means "not the key's next nonce"
        cause "the statement was brought before, or another one of the same key came in between"
        remedy "sign with the next nonce";
    Expired
        means "it came when it was void already"
        cause "it waited for too long, or a clock is wrong"
        remedy "sign anew";
    TooFarAhead { max: "the latest expiry that would be taken" }
        means "it was signed for longer than a statement may be"
        cause "its expiry lies more than `governance.statement_max` ahead: nothing may be signed to be kept"
        remedy "sign anew, with a nearer expiry, when it is needed";
    UnknownProposal
        means "no such change is filed"
        cause "it took effect, was stopped, or is void; or the number is wrong"
        remedy "list what is filed";
    OtherProposal
        means "the approval is of something else than what was filed"
        cause "it names another digest than the proposal's"
        remedy "read what is filed, and approve that";
    AgreedBefore
        means "the key agreed before"
        cause "one key counts once"
        remedy "have another governor approve";
    WouldNotLoosen
        means "it would not loosen: nobody has to stop it"
        cause "a guardian stops what loosens; what tightens only its author takes back"
        remedy "nothing, or ask its author";
    TooManyProposals { max: "the most" }
        means "the key has filed as many changes as it may have at a time"
        cause "nobody approves or cancels what it filed"
        remedy "cancel what is not wanted; it may take back its own";
    Unknown
        means "a market, pool, tier or key place that there is not"
        cause "the number is wrong"
        remedy "correct it: the names stand in the venue's listing";
    OutOfRange
        means "a mode or a span that no guardian may impose or ratify"
        cause "further than `ReduceOnly`, longer than `governance.tighten_max` or `governance.ratified_max`, or sooner over than it already would be"
        remedy "ask for what the limits allow";
    Resting { until: "from then on another may be imposed" }
        means "a guardian's restriction of the market ended too lately"
        cause "it must rest for as long as it lasted"
        remedy "governors can hold it for longer: ratify the next one in time";
    NoChange
        means "nothing would change"
        cause "it is so already"
        remedy "nothing";
    NothingImposed
        means "no guardian's restriction is there to ratify or to lift"
        cause "it lapsed or was lifted"
        remedy "nothing, or impose it anew after its rest";
    TooMuch { max: "the most doublings" }
        means "it would loosen by more than one change may"
        cause "more than `governance.doublings_max` doublings"
        remedy "go in steps; each waits its time";
    Malformed
        means "the parameters would not be well formed"
        cause "a rule of the parameters, or the envelope of the mark's step"
        remedy "try the values with `seawall policy check`";
    VoteUnfit
        means "the count is no vote on this"
        cause "it was weighed after the restriction, counts more than there is, or is on something else than a ratification"
        remedy "correct the count, or vote again with the weights from before";
    NoQuorum
        means "too few voted"
        cause "less of the weight than `governance.quorum`, or none"
        remedy "have more vote before the restriction lapses";
}

table! { GOVERNED: Governed;
    Imposed { market: "the market", to: "how far", until: "from then on it is over", by: "the guardian's key" }
        means "a guardian restricted a market"
        cause "one signed statement"
        remedy "look at why; ratify it in time where it must last";
    Lapsed { market: "the market" }
        means "a restriction by a guardian, governors or a vote is over"
        cause "its time"
        remedy "nothing: the way back goes by steps, and the detectors go on";
    Proposed { proposal: "its number", by: "who filed it", direction: "which way it goes", digest: "what approvals must name" }
        means "a change was filed"
        cause "a governor or an operator signed it"
        remedy "read it; approve it, or cancel it";
    Approved { proposal: "its number", by: "who", approvals: "how many agree", due: "when it takes effect; nothing where too few agree" }
        means "somebody agreed to a change"
        cause "a governor signed its digest"
        remedy "what loosens can be cancelled until it is due";
    Counted { proposal: "the ratification's number", carried: "whether it carries" }
        means "the count of a vote came in"
        cause "a teller signed it"
        remedy "check the count against the vote";
    Cancelled { proposal: "its number", by: "by whom" }
        means "a change was stopped"
        cause "a guardian, or who filed it"
        remedy "talk to each other before it is filed again";
    Voided { proposal: "its number", why: "as below" }
        means "a change will not take effect"
        cause "it was judged again when it was due, or nobody agreed in time"
        remedy "file it again when what stands against it is over";
    Executed { proposal: "its number", change: "what it was" }
        means "a change took effect"
        cause "enough agreed, its time came, and nothing stood against it"
        remedy "nothing: it holds from this batch on";
}

table! { VOIDS: Void;
    Stale
        means "fewer agree than must"
        cause "approvals older than `governance.approval_age_max`, or keys that may no longer"
        remedy "file it again and agree in time";
    Moot
        means "what it is about is no longer there"
        cause "the restriction is over, or the value is that already"
        remedy "nothing";
    Grown
        means "it would loosen by more than when it was filed"
        cause "the value was tightened meanwhile"
        remedy "file it again: it waits for its present size";
    TooSoon
        means "the same value was loosened too lately"
        cause "within `governance.loosen_every`"
        remedy "file it again later";
    NotCalm
        means "the market is not in its normal mode or its price is not agreed on, or the pool has a deficit"
        cause "nothing is loosened in trouble"
        remedy "file it again when it is calm";
    Malformed
        means "the parameters would not be well formed"
        cause "another value changed meanwhile"
        remedy "file it again with a value that fits";
    Liquidates
        means "it would make more liquidatable than a change may"
        cause "more than `governance.liquidatable_max` of a market's positions would be under maintenance at once"
        remedy "go in steps, or announce it and let holders reduce first";
}

table! { EFFECTS: Effect;
    Rejected { input: "its place in the batch", reject: "why" }
        means "an input was refused; nothing of it was applied"
        cause "a check of the gate, of the index or of a pool"
        remedy "tell whoever sent it; the table of refusals has the remedy of each";
    Source { market: "the market", source: "the source", exclusion: "why it is left out; nothing where it is used again" }
        means "a source's newest observation began or ceased to be left out"
        cause "a filter, or a majority that contradicted it for long enough"
        remedy "show it to whoever runs the sources; the table of exclusions has the remedy of each";
    Quality { market: "the market", quality: "the new index with its quality" }
        means "the state or the rung of a market's index changed"
        cause "sources came, fell silent, came to contradict each other or to agree again"
        remedy "publish it with the price; where it is not Agreed, look at the sources";
    Mode { market: "the market", from: "the mode before", to: "the mode from now on", restriction: "what is denied from now on",
           causes: "the detectors that ask for it, a bit each as below; zero on a step back" }
        means "a market's mode changed"
        cause "a detector asked for more, at once; or a calm is over, and the mode steps back by one"
        remedy "enforce nothing: the kernel does. Tell participants what is permitted, and look at what the causes name";
    Admit { order: "id, account, market, size, limit" }
        means "put this order into the book"
        cause "an order passed the gate; of a reducing one the limit may be nearer than was asked for"
        remedy "rest it as it is here, not as it was sent; answer `OrderDone` where the book can't hold it";
    Withdraw { market: "the market it rests in", order: "the order" }
        means "take this order out of the book"
        cause "its owner cancels it, is under maintenance, is liquidated or was deleveraged in the market; the market no longer lets \
               exposure grow; a liquidation ran out or is no longer needed or allowed"
        remedy "remove it before the next auction; one that was filled meanwhile is reported as a trade";
    Liquidate { order: "the order; its owner is the account that is liquidated", equity: "at the mark, micro-USD",
                maintenance: "required then, micro-USD", insolvent: "whether equity is gone" }
        means "a liquidation was decided: put this order into the book"
        cause "the account is under maintenance at the mark and judged kindly, in a market whose mode and price permit it"
        remedy "rest it like an admitted order; after `order_ttl` it is taken back and decided again";
    InsurancePaid { pool: "the pool", account: "who was short", amount: "micro-USD" }
        means "the insurance fund paid into an account"
        cause "an insolvent account is closed, or owes money without a position; never more than one account may draw from the fund"
        remedy "book it; watch how much of the fund is left";
    Deleveraged { market: "the market", account: "the insolvent account", counterparty: "whose position was reduced",
                  size: "change of the insolvent account's position, lots", price: "the bankruptcy price, or the mark for lots whose holders can't pay",
                  given_up: "what the counterparty gave up against the mark or where that was going, whichever is more, micro-USD" }
        means "part of an insolvent account's position was closed against a holder of the other side"
        cause "the account is insolvent, and the book did not take its liquidation in time or the fund's share for it is too little to try"
        remedy "book it for both and tell the counterparty; look at why the book was too thin";
    Socialized { pool: "the pool", market: "the market whose side paid", side: "that side", account: "who paid",
                 amount: "micro-USD" }
        means "a holder paid a share of a loss"
        cause "an account without positions owed more than the insurance fund gave"
        remedy "book it and tell the holder; add to the fund before the next one";
    Deficit { pool: "the pool", account: "the account it came from", amount: "micro-USD" }
        means "a loss that the whole pool could not cover stands open"
        cause "the holders' equity did not reach for what was to be socialized"
        remedy "pay into the insurance fund: it repays the deficit first. Until then every withdrawal leaves a haircut";
    Funded { market: "the market", rate: "of the notional at the mark; positive where longs paid", paid: "what the payers paid together, micro-USD" }
        means "holders of one side of a market paid those of the other"
        cause "a funding payment was sequenced that mode, price, rate and interval permit"
        remedy "nothing: cash has moved; what rounding kept is in the insurance fund";
    CollateralSold { market: "the market whose base asset it is", account: "whose it was", buyer: "who has it now", size: "lots", price: "in the market's unit" }
        means "collateral went to somebody else for cash"
        cause "its owner is under maintenance and owes cash; somebody offered for it, or the auction was over and the backstop took it"
        remedy "book it for both; where it is always the backstop, look at why nobody else comes";
    HandOut { market: "the market whose base asset it is", account: "to whom", size: "lots" }
        means "collateral to be handed out"
        cause "it was asked back, and what the account needs is covered without it"
        remedy "hand it out, once: an effect's id is the batch's height and its place in it";
    PayOut { pool: "the pool", account: "to whom", amount: "micro-USD to pay", haircut: "what stays in the pool, micro-USD" }
        means "money to be paid out; both amounts together left the account"
        cause "a withdrawal was granted"
        remedy "pay `amount`, once: an effect's id is the batch's height and its place in it";
    Governed { what: "as below" }
        means "what came of a statement, or of time, in governance"
        cause "a key signed something, or something was due"
        remedy "the table of what governance says";
}

table! { EXCLUSIONS: Exclusion;
    NonPositive
        means "a price of zero or less"
        cause "the source has no price and says zero, or computes a spread"
        remedy "repair the adapter: silence is better than zero";
    Future
        means "published later than received, by more than `future_max`"
        cause "the source's clock, or ours, is wrong; or a time in another unit"
        remedy "compare the clocks";
    StuckAtBound
        means "at or beyond the bounds within which the source can report at all"
        cause "the price went beyond `price_min` or `price_max`, and the source can't follow"
        remedy "look up what the source can really report and correct the bounds if they differ; else list another source";
    Unconverted
        means "what its prices are quoted in has no price, or a disputed one"
        cause "fewer sources of that unit's market are fresh than it takes to agree, they contradict each other, or what they say is too uncertain"
        remedy "look at that market; sources in USD go on meanwhile";
    Uncertain
        means "its own confidence is wider than `confidence_max`"
        cause "the publishers behind it disagree, or its market is empty"
        remedy "wait; list a more certain source if it lasts";
    Delayed
        means "received later after it was published than nearly all of this source's prices, and than `silence_floor`"
        cause "the way from the source is congested, or somebody holds its prices back"
        remedy "look at the way: what comes late for one time in a thousand is taken for usual by then";
    Jump
        means "farther from its own last accepted price than `jump_max` allows for the time between"
        cause "a real move that nobody else shows yet, or a wrong price"
        remedy "wait: another lineage confirms it, or it stands for `jump_confirm`; if neither, look at the source";
    Overruled
        means "contradicted by a majority for `dispute_confirm`"
        cause "it reports another thing than the others, is late, or lies; or the others do"
        remedy "find out which; it is heard again once it has stood with the others for as long, or they are gone";
}

table! { STATES: QualityState;
    Agreed
        means "enough independent lineages support the price, and outweigh whoever says otherwise"
        cause "the sources work"
        remedy "nothing";
    Degraded
        means "nobody contradicts, but fewer lineages speak than `lineages_min`"
        cause "sources are silent, stale or left out; the market lists too few; or only the last good price is left"
        remedy "bring sources back, or list more lineages";
    Disputed
        means "fresh sources contradict each other, and nobody has been believed yet"
        cause "one of them is wrong, or venues really stand apart; or few who are left carry the price away"
        remedy "wait up to `dispute_confirm`, then look at the sources: no solvent account is liquidated meanwhile";
    None
        means "there is no usable price"
        cause "before the first price; or all sources are silent or left out, for longer than `last_good_max`"
        remedy "bring a source back; the market is halted until then";
}

table! { RUNGS: Rung;
    Primary
        means "from the market's own sources"
        cause "at least one of them is fresh and usable"
        remedy "nothing";
    Secondary
        means "from a quorum of the secondary set"
        cause "too few of the market's own sources speak; what the set says fits what they said last, or stood for `dispute_confirm`"
        remedy "bring the market's own sources back; it returns to them after a calm";
    Guardian
        means "what `guardians_min` guardians agree on"
        cause "nobody speaks in the market's own set, nor a quorum in the secondary"
        remedy "as above: exposure may only fall, and nobody solvent is liquidated on it";
    Derived
        means "a cross rate or redemption ratio, at least `derived_haircut` wide"
        cause "neither sources nor guardians speak"
        remedy "as above";
    Twap
        means "the time-weighted average, as wide as it is from the last price and as the price wanders meanwhile"
        cause "nobody speaks, for no longer than `twap_max`, and enough of the average's window was observed"
        remedy "bring a source back";
    LastGood
        means "the last believed index, within `last_good_max`"
        cause "no source is usable"
        remedy "bring a source back before it runs out: then the market halts";
    None
        means "no price"
        cause "nothing to fall back on, or it is too old"
        remedy "bring a source back";
}

table! { MODES: Mode;
    Normal
        means "everything that the account can carry"
        cause "no detector asks for more, and every calm is over"
        remedy "nothing";
    Cautious
        means "everything, with a margin add-on and a smaller size for what opens"
        cause "a detector passed its first threshold; sources spread; a price with too few lineages or too little coverage; or a step back"
        remedy "nothing; it steps back after a calm";
    ReduceOnly
        means "exposure may only fall"
        cause "a detector passed its second threshold; the price is disputed, or the last good one; or a step back"
        remedy "look at the causes; it steps back after a calm, after a longer one where it came back soon";
    CancelOnly
        means "cancels and deposits only"
        cause "the step back from a halt; nothing else leads here"
        remedy "cancel what should not trade; it steps back after a calm";
    Halted
        means "nothing trades, and so nothing is liquidated"
        cause "no usable price; every market begins so"
        remedy "bring a source back";
    Settling
        means "the market closes at its settlement price"
        cause "no rule leads here"
        remedy "nothing";
}

/// The whole document.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    // Writing into a String can't fail.
    let _ = write(&mut text);
    text
}

fn write(out: &mut String) -> std::fmt::Result {
    out.push_str(
        "# Refusals, effects and states\n\n\
         What the kernel says, what led to it, and what to do. Made from the code: `seawall reference` prints this page from\n\
         `crates/lab/src/reference.rs`, and a test fails where the two differ. Words are in `GLOSSARY.md`, keys in `policies/default.toml`.\n\n\
         ## Refusals\n\n\
         A refused input changed nothing. The kernel says so with `Effect::Rejected`. Checks are made in the order of the table, cheapest\n\
         first; codes are never reused (`crates/protocol/src/reject.rs`).\n\n",
    );
    head(out, &["code", "reject", "means", "cause", "remedy"])?;
    for (code, entry) in codes().into_iter().zip(REJECTS) {
        let under = if entry.name == "Refused" { "–40" } else { "" };
        writeln!(out, "| {code}{under} {}", row(entry))?;
    }
    out.push_str(
        "\n`BeyondLimit`, `BeyondSize` and `Mismatch` accuse the venue, not a participant. The replay counts a refused trade of the embedded\n\
         venue as a broken invariant and ends with exit code 3.\n\n\
         An account without positions can always withdraw what is free. While the pool has a deficit a part of it stays there: `PayOut`\n\
         says how much was paid and how much was not.\n\n\
         ## Effects\n\n\
         What the kernel decided, in order. An effect's id is the batch's height and its place among the batch's effects.\n\n",
    );
    simple(out, "effect", EFFECTS)?;
    out.push_str("\nThe bits of `causes`, from the lowest: ");
    out.push_str(&kernel::detect::NAMES.join(", "));
    out.push_str(
        "; the highest of the sixteen: asked, by a guardian, governors or a vote.\n\n## Governance\n\n\
         What a key asks for, a statement, is refused for one of these reasons, in this order \
         (`crates/protocol/src/governance.rs`).\n\n",
    );
    head(out, &["code", "refusal", "means", "cause", "remedy"])?;
    for (code, entry) in refusal_codes().into_iter().zip(REFUSALS) {
        writeln!(out, "| {code} {}", row(entry))?;
    }
    out.push_str("\nWhat it says.\n\n");
    simple(out, "says", GOVERNED)?;
    out.push_str("\nWhy a change that was filed will not take effect, in the order in which it is looked at.\n\n");
    simple(out, "void", VOIDS)?;
    out.push_str("\nWho may do what.\n\n");
    head(out, &["role", "tighten", "propose", "approve", "cancel", "count a vote"])?;
    for role in Role::ALL {
        let may = Verb::ALL.map(|verb| if role.may(verb) { "yes" } else { "" });
        writeln!(out, "| {} | {} |", role.name(), may.join(" | "))?;
    }
    out.push_str(
        "\nWhoever filed a change may also cancel it.\n\n## Exclusions\n\nWhy a source's newest observation is not used, in the order in which the filters are asked.\n\n",
    );
    simple(out, "exclusion", EXCLUSIONS)?;
    out.push_str("\n## States of the index\n\nHow far sources agree, from best to worst.\n\n");
    simple(out, "state", STATES)?;
    out.push_str("\n## Rungs\n\nWhere the price came from, from best to worst.\n\n");
    simple(out, "rung", RUNGS)?;
    out.push_str(
        "\n## Modes\n\nFrom free to strict. `README.md` has the tables of what each mode and each quality of the price permits.\n\n",
    );
    simple(out, "mode", MODES)
}

fn simple(out: &mut String, of: &str, entries: &[Entry]) -> std::fmt::Result {
    head(out, &[of, "means", "cause", "remedy"])?;
    entries.iter().try_for_each(|entry| writeln!(out, "{}", row(entry)))
}

fn head(out: &mut String, columns: &[&str]) -> std::fmt::Result {
    writeln!(out, "| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))
}

/// The cells that all tables have. Fields stand below the meaning.
fn row(entry: &Entry) -> String {
    let fields: String = entry.fields.iter().map(|(name, holds)| format!("<br>`{name}`: {holds}")).collect();
    format!("| `{}` | {}{fields} | {} | {} |", entry.name, entry.means, entry.cause, entry.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = include_str!("../../../docs/reference.md");

    #[test]
    fn the_page_is_what_the_code_says() {
        assert!(WRITTEN == text(), "run `cargo run --release -- reference > docs/reference.md`");
    }

    /// Lines of an enum's source that begin a variant, in order.
    fn declared(source: &str, of: &str) -> Vec<String> {
        let begin = format!("pub enum {of} {{");
        let lines = source.lines().skip_while(|line| *line != begin).skip(1).take_while(|line| *line != "}");
        let variants =
            lines.filter(|line| line.starts_with("    ") && line[4..].starts_with(|c: char| c.is_uppercase()));
        variants.map(|line| line.trim().trim_end_matches([',', '{', ' ']).to_owned()).collect()
    }

    #[test]
    fn tables_stand_in_the_order_of_their_enums() {
        let (reject, effect) =
            (include_str!("../../protocol/src/reject.rs"), include_str!("../../protocol/src/effect.rs"));
        let governance = include_str!("../../protocol/src/governance.rs");
        let (quality, mode) =
            (include_str!("../../protocol/src/quality.rs"), include_str!("../../protocol/src/mode.rs"));
        for (entries, source, of) in [
            (REJECTS, reject, "Reject"),
            (EFFECTS, effect, "Effect"),
            (REFUSALS, governance, "Refusal"),
            (GOVERNED, governance, "Governed"),
            (VOIDS, governance, "Void"),
            (EXCLUSIONS, quality, "Exclusion"),
            (STATES, quality, "QualityState"),
            (RUNGS, quality, "Rung"),
            (MODES, mode, "Mode"),
        ] {
            let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
            assert_eq!(names, declared(source, of), "{of}");
        }
    }

    #[test]
    fn every_code_stands_once() {
        // The last of the refusals stands for all of governance.
        let mut all = [codes(), refusal_codes()[1..].to_vec()].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=40).collect::<Vec<u16>>());
        assert_eq!((codes().last(), refusal_codes().first()), (Some(&23), Some(&23)));
        assert!(
            text()
                .contains("\n| 21 | `TooSmall` | too little to open an account with<br>`min`: the least, micro-USD |")
        );
    }

    #[test]
    fn no_text_breaks_its_cell() {
        for entry in
            [REJECTS, EFFECTS, REFUSALS, GOVERNED, VOIDS, EXCLUSIONS, STATES, RUNGS, MODES].into_iter().flatten()
        {
            for text in
                [entry.means, entry.cause, entry.remedy].into_iter().chain(entry.fields.iter().map(|field| field.1))
            {
                assert!(
                    !text.is_empty() && !text.contains(['|', '\n']) && !text.contains("  "),
                    "{}: {text:?}",
                    entry.name
                );
            }
        }
    }
}
