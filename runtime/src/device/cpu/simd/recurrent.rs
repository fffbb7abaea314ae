//! Recurrent ops: the reference's plain loops, compiled for an instruction set.

use std::ops::Range;

use super::{Simd, enter, math};
use crate::device::cpu::conv::{self, Convolution};
use crate::device::cpu::delta_rule::{self, Rule};
use crate::device::cpu::gate;
use crate::device::cpu::scan::{self, Selective};
use crate::device::cpu::wkv::{self, Recurrence};
use crate::graph::Columns;

pub(super) fn conv<S: Simd>(c: &Convolution<'_>, channels: Range<usize>) {
    enter::<S, _>(
        #[inline(always)]
        |_| conv::with_exp(c, channels, math::exp),
    );
}

pub(super) fn scan<S: Simd>(s: &Selective<'_>, channels: Range<usize>) {
    enter::<S, _>(
        #[inline(always)]
        |_| scan::with(s, channels, math::exp, math::softplus),
    );
}

pub(super) fn delta_rule<S: Simd>(rule: &Rule<'_>, head: usize, elements: Range<usize>) {
    enter::<S, _>(
        #[inline(always)]
        |_| delta_rule::delta_rule(rule, head, elements),
    );
}

pub(super) fn wkv<S: Simd>(w: &Recurrence<'_>, head: usize) {
    enter::<S, _>(
        #[inline(always)]
        |_| wkv::with_exp(w, head, math::exp),
    );
}

pub(super) fn gate<S: Simd>(gates: &[f32], columns: &Columns, sigmoid: bool, x: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |_| gate::with_exp(gates, columns, sigmoid, x, math::exp),
    );
}
