//! The words that every part of Seawall speaks: inputs, effects, rejects, modes, restrictions, parameters.
