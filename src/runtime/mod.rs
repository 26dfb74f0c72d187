//! Workers: flow (a pure state machine), the worker and deliverer threads, fetches, the breaker, the supervisor.
