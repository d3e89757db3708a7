//! Streams, driven as Envoy drives them.
