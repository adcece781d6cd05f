//! Integer money, prices, sizes, ratios and times with explicit rounding.
