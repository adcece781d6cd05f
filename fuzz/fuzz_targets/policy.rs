//! Outside text gives a policy or an error with a place. A policy that is read says the same when it is written and
//! read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Policy;

fuzz_target!(|text: &str| {
    if let Ok(policy) = Policy::parse(text, "fuzz.toml") {
        let written = policy.to_toml();
        assert_eq!(Policy::parse(&written, "written.toml").as_ref(), Ok(&policy), "{written}");
    }
});
