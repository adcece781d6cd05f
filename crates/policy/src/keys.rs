//! Every key that a policy file may hold, once. The reader, the writer, the schema and the tests go through these
//! tables, so a key can't be known to one and unknown to another.

use crate::quantity::Form;

/// One key of a table of the file.
#[derive(Debug)]
pub(crate) struct Key {
    /// Dotted below the table, as in `oracle.age_max`; also the name in `protocol`'s messages.
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) presence: Presence,
    /// A value that would do, as text of the file without its quotes.
    pub(crate) example: &'static str,
    /// One sentence for the schema.
    pub(crate) about: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// In the table that all others inherit from.
    Required,
    /// Has a meaning when left out.
    Optional,
    /// As optional, but not in the table that all others inherit from.
    NamedOnly,
}

const fn key(name: &'static str, form: Form, example: &'static str, about: &'static str) -> Key {
    Key { name, form, presence: Presence::Required, example, about }
}

const fn optional(
    name: &'static str,
    form: Form,
    presence: Presence,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, form, presence, example, about }
}

const U8: Form = Form::Count { max: u8::MAX as i64 };
const U16: Form = Form::Count { max: u16::MAX as i64 };
const U32: Form = Form::Count { max: u32::MAX as i64 };

/// A venue's governance, in a file of its own.
pub(crate) const GOVERNANCE: &[Key] = &[
    key("threshold", U8, "2", "Governors who must agree to a change; at least two."),
    key("tighten_max", Form::Span, "48h", "How long one guardian's restriction lasts at most unless it is ratified."),
    key("ratified_max", Form::Span, "30d", "How long a ratified restriction lasts at most, from its beginning."),
    key("delay", Form::Span, "24h", "From agreement to effect of what loosens by no more than a doubling."),
    key("delay_step", Form::Span, "24h", "So much more for each further doubling."),
    key("delay_max", Form::Span, "7d", "The longest delay: of what is new, and of a change of keys."),
    key("doublings_max", U8, "2", "The most doublings that one change may loosen a value by."),
    key("loosen_every", Form::Span, "7d", "The least time between two changes that loosen the same value."),
    key("approval_age_max", Form::Span, "10d", "An approval that is older than this counts for nothing."),
    key("statement_max", Form::Span, "1h", "How far ahead a statement's expiry may lie: nothing is signed to be kept."),
    key("quorum", Form::Ratio, "20%", "Of the weight of a vote that must have voted."),
    key(
        "liquidatable_max",
        Form::Ratio,
        "1%",
        "The most of any market's positions that a change may make liquidatable by itself.",
    ),
];

/// `[pool.NAME]`
pub(crate) const POOL: &[Key] = &[
    key("accounts_max", U32, "5_000_000", "Largest number of accounts."),
    key("account_min", Form::Money, "10 USD", "A first deposit below this opens no account."),
    key("orders_per_account_max", U16, "100", "Largest number of resting orders of one account."),
    key(
        "account_borrow_max",
        Form::Money,
        "1_000_000 USD",
        "In what an account asks for its collateral counts for no more than this.",
    ),
    key("borrow_max", Form::Money, "10_000_000 USD", "Nor for more than this leaves beside what others owe."),
    key(
        "insurance_share_per_account",
        Form::Ratio,
        "10%",
        "The share of the insurance fund that the liquidation of one account may cost.",
    ),
];

/// `[market.default]` and `[market.NAME]`, without the tiers.
pub(crate) const MARKET: &[Key] = &[
    key("pool", Form::Name, "main", "The pool whose collateral backs the market."),
    key(
        "order_size_max",
        Form::Money,
        "10_000_000 USD",
        "Largest order, valued at the reference price of the listing.",
    ),
    key(
        "open_interest_max",
        Form::Money,
        "250_000_000 USD",
        "Largest open interest of one side, valued at the reference price of the listing.",
    ),
    key(
        "open_interest_margin_from",
        Form::Ratio,
        "50%",
        "Share of open_interest_max from which on initial margin rises to all of the notional.",
    ),
    key("oracle.age_max", Form::Span, "10s", "An older observation is not used."),
    key("oracle.silence_floor", Form::Span, "3s", "A source may be silent this long, however fast it used to publish."),
    key("oracle.future_max", Form::Span, "1s", "How much later than its receipt an observation may be published."),
    key("oracle.confidence_max", Form::Ratio, "2%", "Widest confidence half-width over price."),
    key("oracle.jump_max", Form::Ratio, "10%", "A larger step of a source against itself waits for confirmation."),
    key(
        "oracle.jump_window",
        Form::Span,
        "60s",
        "Between prices published farther apart than this a step may be larger, by the square root of the time, up to five times.",
    ),
    key("oracle.jump_confirm", Form::Span, "2s", "A source that stands by its jump this long is believed."),
    key(
        "oracle.leap_max",
        Form::Ratio,
        "45%",
        "An index that goes farther at once, however many say so, is disputed until it has stood.",
    ),
    key("oracle.leap_confirm", Form::Span, "10m", "A leap of everybody is believed after it has stood this long."),
    key("oracle.agree", Form::Ratio, "1%", "Sources within this of the index support it."),
    key("oracle.dispute", Form::Ratio, "2%", "Fresh sources farther apart than this contradict each other."),
    key("oracle.lineages_min", U8, "2", "Independent lineages that an agreed price needs."),
    key(
        "oracle.overrule_lineages",
        U8,
        "3",
        "Independent lineages that outvote a contradicting minority at once, if they are more than two thirds of those that speak.",
    ),
    key(
        "oracle.dispute_confirm",
        Form::Span,
        "60s",
        "A majority that stood this long against a contradiction is believed.",
    ),
    key("oracle.last_good_max", Form::Span, "5m", "How long the last index serves when no source is usable."),
    key(
        "oracle.twap_max",
        Form::Span,
        "1m",
        "How long before that the time-weighted average serves instead, wider; 0s for not at all.",
    ),
    key("oracle.guardians_min", U8, "2", "Guardians that must agree on a price."),
    key("oracle.confidence_scale", Form::Ratio, "100%", "So many half-widths from the mark a position is judged."),
    key(
        "oracle.fallback_confidence",
        Form::Ratio,
        "1%",
        "Least half-width of a secondary or guardians' price, over the price.",
    ),
    key("oracle.derived_haircut", Form::Ratio, "2%", "Least half-width of a derived price, over the price."),
    key("mark.premium_max", Form::Ratio, "0.5%", "The mark stays within this of the index."),
    key("mark.premium_window", Form::Span, "150s", "Time constant of the premium's average."),
    key("mark.step_max", Form::Ratio, "1.9%", "The mark's range inside a step_window is at most this."),
    key("mark.step_window", Form::Span, "1s", "See step_max."),
    key("funding.rate_max", Form::Ratio, "0.08%", "Largest funding payment over the notional, either way."),
    key("funding.interval", Form::Span, "1h", "Least time from one funding payment to the next."),
    key(
        "collateral.deposit_max",
        Form::Money,
        "0 USD",
        "Most of the base asset that the pool takes as collateral, valued at the reference price of the listing; zero for none.",
    ),
    key("collateral.haircut", Form::Ratio, "10%", "The share of collateral's value that counts for nothing."),
    key(
        "collateral.ramp",
        Form::Span,
        "10m",
        "What is paid in counts after this, where the market lets exposure grow.",
    ),
    key(
        "collateral.auction",
        Form::Span,
        "10m",
        "Sold for a debt, collateral is offered at a discount that reaches the haircut after this.",
    ),
    key("detectors.exit", Form::Ratio, "50%", "The share of a threshold below which a detector lets go."),
    key(
        "detectors.velocity.cautious",
        Form::Ratio,
        "3%",
        "Range of executed prices in the window at which the market is cautious.",
    ),
    key(
        "detectors.velocity.reduce_only",
        Form::Ratio,
        "7%",
        "Range of executed prices in the window at which nothing opens.",
    ),
    key("detectors.velocity_window", Form::Span, "60s", "Window of the velocity."),
    key(
        "detectors.swing.cautious",
        Form::Ratio,
        "8%",
        "Range of executed prices in the long window at which the market is cautious.",
    ),
    key(
        "detectors.swing.reduce_only",
        Form::Ratio,
        "15%",
        "Range of executed prices in the long window at which nothing opens.",
    ),
    key("detectors.swing_window", Form::Span, "1h", "Window of the swing."),
    key("detectors.band.cautious", Form::Ratio, "5%", "Distance from the TWAP at which the market is cautious."),
    key("detectors.band.reduce_only", Form::Ratio, "10%", "Distance from the TWAP at which nothing opens."),
    key("detectors.twap_window", Form::Span, "5m", "Window of the TWAP."),
    key("detectors.twap_coverage_min", Form::Ratio, "50%", "With less of the window observed, the TWAP is not used."),
    key(
        "detectors.staleness.cautious",
        Form::Ratio,
        "1%",
        "How far the price goes in the time since the newest source spoke at which the market is cautious.",
    ),
    key(
        "detectors.staleness.reduce_only",
        Form::Ratio,
        "2.5%",
        "How far the price goes in the time since the newest source spoke at which nothing opens.",
    ),
    key(
        "detectors.drift.cautious",
        Form::Ratio,
        "20%",
        "Distance from the stable price at which the market is cautious.",
    ),
    key("detectors.drift.reduce_only", Form::Ratio, "30%", "Distance from the stable price at which nothing opens."),
    key("detectors.stable_half_life", Form::Span, "24h", "The stable price comes half of the way in this time."),
    key(
        "detectors.stable_reach",
        Form::Ratio,
        "20%",
        "An index farther from the stable price pulls it no more than one at this distance.",
    ),
    key(
        "detectors.stuck.cautious",
        Form::Ratio,
        "1%",
        "Share of the listed weight stuck at its bound at which the market is cautious.",
    ),
    key(
        "detectors.stuck.reduce_only",
        Form::Ratio,
        "50%",
        "Share of the listed weight stuck at its bound at which nothing opens.",
    ),
    key("detectors.disagreement", Form::Ratio, "1%", "Spread of the usable sources at which the market is cautious."),
    key("detectors.quorum_coverage_min", Form::Ratio, "40%", "With less of the weight usable, the market is cautious."),
    key(
        "activity.growth.cautious",
        Form::Ratio,
        "300%",
        "Growth of the open interest at which the market is cautious.",
    ),
    key("activity.growth.reduce_only", Form::Ratio, "1_000%", "Growth of the open interest at which nothing opens."),
    key("activity.growth_window", Form::Span, "1h", "Window of growth."),
    key(
        "activity.crowding.cautious",
        Form::Ratio,
        "5_000%",
        "Open interest over the depth of the book at which the market is cautious.",
    ),
    key(
        "activity.crowding.reduce_only",
        Form::Ratio,
        "10_000%",
        "Open interest over the depth of the book at which nothing opens.",
    ),
    key(
        "activity.intensity.cautious",
        Form::Ratio,
        "2%",
        "Share liquidated in the window at which the market is cautious.",
    ),
    key("activity.intensity.reduce_only", Form::Ratio, "10%", "Share liquidated in the window at which nothing opens."),
    key("activity.intensity_window", Form::Span, "60s", "Window of intensity."),
    key(
        "activity.divergence.cautious",
        Form::Ratio,
        "1%",
        "Average distance of the venue's book from the index at which the market is cautious.",
    ),
    key(
        "activity.divergence.reduce_only",
        Form::Ratio,
        "3%",
        "Average distance of the venue's book from the index at which nothing opens.",
    ),
    key(
        "chain.distress.cautious",
        Form::Ratio,
        "500%",
        "Worst measure of the chain over what is usual at which the market is cautious.",
    ),
    key(
        "chain.distress.reduce_only",
        Form::Ratio,
        "2_500%",
        "Worst measure of the chain over what is usual at which nothing opens.",
    ),
    key("chain.interval", Form::Span, "12s", "Usual time between blocks."),
    key("chain.inclusion", Form::Span, "24s", "Usual wait of a transaction for its block."),
    key("chain.finality", Form::Span, "15m", "Usual time from a block to its finality."),
    key("chain.base_fee", U32, "20_000", "Usual base fee, in the unit in which it is reported."),
    key("breaker.calm", Form::Span, "60s", "Time without a reason before the next milder mode."),
    key(
        "breaker.probation",
        Form::Span,
        "10m",
        "Going back to ReduceOnly within this time of a step to a milder mode doubles the calm that leads to what opens.",
    ),
    key("breaker.calm_max", Form::Span, "15m", "The longest that relapses make the calm."),
    key("breaker.cautious_margin_addon", Form::Ratio, "2%", "Cautious: added to the initial margin of what opens."),
    key(
        "breaker.cautious_size_scale",
        Form::Ratio,
        "50%",
        "Cautious: the share of the order size that is still taken.",
    ),
    key("breaker.grace_share", Form::Ratio, "50%", "Grace after an outage over its length."),
    key("breaker.grace_max", Form::Span, "4h", "The longest grace after an outage."),
    key("liquidation.buffer", Form::Ratio, "10%", "A liquidation stops at maintenance times one plus this."),
    key("liquidation.fee", Form::Ratio, "0.5%", "Paid to the insurance fund on the notional liquidated."),
    key("liquidation.slippage_max", Form::Ratio, "5%", "A liquidation's limit price stays within this of the mark."),
    key("liquidation.order_ttl", Form::Span, "10s", "An unfilled liquidation order is decided again after this."),
    key(
        "liquidation.single_lineage_confirm",
        Form::Span,
        "10s",
        "Where fewer lineages are listed than an agreed price needs: time under maintenance before a solvent account is taken.",
    ),
];

/// `[[market.NAME.tier]]`
pub(crate) const TIER: &[Key] = &[
    key("notional_from", Form::Money, "0 USD", "Lower bound; the first tier begins at zero."),
    key("initial", Form::Ratio, "5%", "Marginal initial margin from here on."),
    key("maintenance", Form::Ratio, "2.5%", "Marginal maintenance margin from here on."),
];

/// `[source.default]`, `[source.NAME]` and `[market.NAME.source.NAME]`
pub(crate) const SOURCE: &[Key] = &[
    key("weight", U32, "1", "Its voice in the weighted median."),
    key("heartbeat", Form::Span, "1s", "The longest interval at which it is expected to publish; the data's own wins."),
    optional(
        "lineage",
        Form::Name,
        Presence::NamedOnly,
        "binance",
        "Sources of one lineage are one independent voice; wins over the data's own.",
    ),
    optional(
        "price_min",
        Form::Price,
        Presence::Optional,
        "0.1 USD",
        "At or below this the source is stuck at its bound.",
    ),
    optional(
        "price_max",
        Form::Price,
        Presence::Optional,
        "1_000_000 USD",
        "At or above this the source is stuck at its bound.",
    ),
    optional(
        "kind",
        Form::Choice { of: SOURCE_KINDS },
        Presence::NamedOnly,
        "trades",
        "What its prices are: those of trades, or quotes, whose moves trip neither velocity nor swing; wins over the data's own.",
    ),
    optional(
        "rung",
        Form::Choice { of: SOURCE_RUNGS },
        Presence::NamedOnly,
        "secondary",
        "The rung of the fallback ladder on which it speaks; primary where it is left out.",
    ),
    optional(
        "quote",
        Form::Name,
        Presence::NamedOnly,
        "USDT",
        "The market in whose price it is quoted, or USD; wins over the data's own.",
    ),
];

/// In the order of the protocol's rungs on which sources speak.
pub(crate) const SOURCE_RUNGS: &[&str] = &["primary", "secondary", "guardian", "derived"];

/// In the order of the protocol's kinds.
pub(crate) const SOURCE_KINDS: &[&str] = &["trades", "quotes"];

/// The key of this name.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// The names that may stand in the table that `prefix` (empty, or ending in a dot) denotes, each once, in order.
pub(crate) fn segments(keys: &'static [Key], prefix: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in keys {
        let Some(rest) = key.name.strip_prefix(prefix) else { continue };
        let name = rest.split('.').next().unwrap_or(rest);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity;

    #[test]
    fn every_example_is_a_value_of_its_key() {
        for key in [POOL, MARKET, TIER, SOURCE].into_iter().flatten() {
            match key.form {
                Form::Count { max } => {
                    let count: i64 = key.example.replace('_', "").parse().unwrap();
                    assert!(count <= max, "{}", key.name);
                }
                Form::Span | Form::Ratio | Form::Money | Form::Price | Form::Name | Form::Choice { .. } => {
                    assert!(quantity::read(key, key.example).is_ok(), "{}", key.name);
                }
            }
        }
    }

    #[test]
    fn a_name_is_either_a_value_or_a_table() {
        for keys in [POOL, MARKET, TIER, SOURCE] {
            for (i, key) in keys.iter().enumerate() {
                let inside = format!("{}.", key.name);
                assert!(keys.iter().all(|other| !other.name.starts_with(&inside)), "{}", key.name);
                assert!(keys.iter().skip(i + 1).all(|other| other.name != key.name), "{} twice", key.name);
            }
        }
    }
}
