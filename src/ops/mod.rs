//! /metrics, /health, /ready: pages over the Board.
