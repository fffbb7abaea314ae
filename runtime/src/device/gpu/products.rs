//! Products of matrices: at which level their kernels run and in which shape, and their calls.

use super::calls::{Binding, Builder, Field, WIDTH, code};
use super::fuse::Product;
use super::level::Level;
use super::pipeline::Slice;
use super::placement::Segment;
use super::planes::{TILE, UNIT};
use super::program::Grid;
use crate::graph::{BufId, Op, Plan};

/// Tiles that a workgroup of mat_mat makes.
const MAT_MAT_TILES: u32 = 2;
/// Tokens that a workgroup of mat_mat_matrix makes.
const MATRIX_TOKENS: usize = 64;
/// Rows that mat_mat makes in two quads.
pub(super) const FEW_ROWS: usize = 8;
/// Slices that the columns are cut into for few rows.
const FEW_SPLIT: u32 = 16;

/// Which kernels multiply a batch. Each form adds in another order, so it must follow from how many rows were asked for
/// together, never from how a batch happened to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One row.
    One,
    /// As many as so many quads (one or two) hold: their weights are read once, and reading them is what takes the time.
    Few(u32),
    Many,
}

/// How one row is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatVec {
    pub(super) level: Level,
    /// Slices that the columns are cut into, and tiles that a workgroup makes.
    pub(super) split: u32,
    pub(super) tiles: u32,
}

impl MatVec {
    /// Whether a norm is cheaper made by every workgroup of the product that follows than in a dispatch of its own: not where
    /// every lane would load its weights by itself, one after another.
    pub(super) fn fuses_norms(self) -> bool {
        self.split > 1 || self.level != Level::Base
    }
}

/// How several rows are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatMat {
    pub(super) level: Level,
    /// Groups of tokens per workgroup, and quads of tokens (one or two) of each.
    pub(super) groups: u32,
    pub(super) quads: u32,
    /// Slices that the columns are cut into, where there is one group.
    pub(super) split: u32,
}

/// How products are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Products {
    pub(super) one: MatVec,
    pub(super) many: MatMat,
}

impl Products {
    /// At the base level.
    pub(super) const fn new(split: u32, tiles: u32, groups: u32) -> Self {
        let level = Level::Base;
        Self { one: MatVec { level, split, tiles }, many: MatMat { level, groups, quads: 1, split: 1 } }
    }

    /// The same at a level. Two quads of tokens are faster where lanes share their loads (a sixth on lavapipe), and no faster
    /// where each lane loads all inputs of its tokens by itself.
    pub(super) fn at(mut self, level: Level) -> Self {
        self.one.level = level;
        self.many.level = level;
        self.many.quads = if self.many.groups == 1 && level.shares_loads() { 2 } else { 1 };
        self
    }

    /// Whether planes of weights are textures.
    pub(super) fn textures(&self) -> bool {
        self.one.level == Level::Texel
    }

    /// The same at levels that keep f32 activations.
    pub(super) fn exact(mut self) -> Self {
        for level in [&mut self.one.level, &mut self.many.level] {
            *level = if level.is_exact() { *level } else { Level::Base };
        }
        self
    }

    /// How so many rows are multiplied that were asked for together. On adapters that gain nothing from more invocations few
    /// rows are as good as many.
    pub(super) fn form(&self, rows: usize) -> Form {
        match rows {
            1 => Form::One,
            2..=FEW_ROWS if self.many.groups > 1 => Form::Few(rows.div_ceil(4) as u32),
            _ => Form::Many,
        }
    }

    /// How mat_mat multiplies in a form. Few rows take the level of many, whose code is the same but for the split, unless that
    /// is `matrix`: its kernel would make 64 of them.
    pub(super) fn mat_mat(&self, form: Form) -> MatMat {
        let Form::Few(quads) = form else { return self.many };
        let levels = [self.many.level, self.one.level];
        let level = levels.into_iter().find(|&level| level != Level::Matrix).unwrap_or(Level::Base);
        MatMat { level, groups: 1, quads, split: FEW_SPLIT }
    }

    /// Bytes of `rows` rows of packed inputs of the plan's products; 0 where none are packed. Matrix units read whole blocks of
    /// rows, whatever is in the last ones.
    pub(super) fn packed_bytes(&self, plan: &Plan, rows: usize) -> u64 {
        let inputs =
            plan.ops().filter_map(|op| if let Op::MatMul { x, .. } = op { Some(plan.width(*x)) } else { None });
        let units = inputs.map(|width| width.div_ceil(UNIT)).max().unwrap_or(0);
        let bytes = |form, rows: usize| self.mat_mat(form).level.packing().map_or(0, |(_, bytes)| rows * bytes);
        let many = bytes(Form::Many, rows.next_multiple_of(MATRIX_TOKENS));
        (units * many.max(bytes(Form::Few(2), FEW_ROWS))) as u64
    }
}

/// One dispatch of a product.
struct Part<'a> {
    product: &'a Product,
    /// The type of its weights, as shaders call it.
    ty: &'static str,
    cols: usize,
    /// Tiles of its outputs.
    tiles: u32,
    fields: Vec<Field>,
    buffers: Vec<Binding>,
}

impl Builder<'_> {
    pub(super) fn product(&mut self, product: &Product) {
        let accumulate = self.accumulate(product.add, product.out);
        let mut packed = false;
        for segment in self.weights.placement.products[product.index].clone() {
            let part = self.part(product, &segment, accumulate);
            if self.form == Form::One {
                self.mat_vec(part);
                continue;
            }
            let shape = self.weights.products.mat_mat(self.form);
            let level = shape.level.of("mat_mat", part.ty, part.cols);
            if let (Some((format, _)), false) = (level.packing(), packed) {
                self.pack(format, product.x);
                packed = true;
            }
            self.mat_mat(MatMat { level, ..shape }, part);
        }
    }

    fn part<'a>(&self, product: &'a Product, segment: &Segment, accumulate: u32) -> Part<'a> {
        let slab = &self.weights.placement.slabs[segment.slab];
        // a gated unit has one output for a row of each of two matrices
        let rows = if product.glu.is_some() { segment.rows / 2 } else { segment.rows };
        let fields = vec![
            ("k", slab.cols as u32),
            ("units", slab.layout.units(slab.cols) as u32),
            ("first_tile", (segment.slab_row / TILE) as u32),
            ("n", rows as u32),
            ("x_stride4", self.stride(product.x) / 4),
            ("out_stride", self.stride(product.out)),
            ("out_column", segment.out_column as u32),
            ("has_bias", u32::from(segment.bias.is_some())),
            ("accumulate", accumulate),
            ("head", u32::from(self.head)),
            ("eps", self.plan().eps.to_bits()),
            ("pair", (rows / TILE) as u32),
        ];
        let none = self.optional(None);
        let bias = segment.bias.map(|offset| Slice::part(&self.weights.arena, offset, Some(4 * segment.rows as u64)));
        let mut buffers = self.planes(segment.slab);
        buffers.extend([("bias", bias.unwrap_or(none)), ("norm", self.optional(product.norm))]);
        buffers.push(("out", self.slice(product.out)));
        Part { product, ty: slab.layout.name, cols: slab.cols, tiles: rows.div_ceil(TILE) as u32, fields, buffers }
    }

    /// Writes the rows of `x` in a narrow format, for all products of it.
    fn pack(&mut self, format: &str, x: BufId) {
        let units = (self.plan().width(x) / UNIT) as u32;
        let fields = [("units", units), ("stride", self.stride(x) / UNIT as u32)];
        let buffers = [("x", self.slice(x)), ("out", Slice::whole(&self.buffers.packed))];
        self.call(&format!("pack_rows.{format}"), &fields, &buffers, self.per_row(units.div_ceil(WIDTH)));
    }

    fn mat_vec(&mut self, mut part: Part<'_>) {
        let shape = self.weights.products.one;
        let glu = part.product.glu.map_or(0, |activation| 1 + code(activation));
        let groups = if glu > 0 { part.tiles } else { part.tiles.div_ceil(shape.tiles) };
        let norm = u32::from(part.product.norm.is_some());
        part.buffers.push(("x", self.slice(part.product.x)));
        let level = shape.level.of("mat_vec", part.ty, part.cols);
        let constants = [("SPLIT", shape.split), ("TILES", shape.tiles), ("NORM", norm), ("GLU", glu)];
        self.at_level("mat_vec", level, &part, Grid::One(groups), &constants);
    }

    fn mat_mat(&mut self, MatMat { level, groups, quads, split }: MatMat, mut part: Part<'_>) {
        let x = if level.packing().is_some() { Slice::whole(&self.buffers.packed) } else { self.slice(part.product.x) };
        part.buffers.push(("x", x));
        let x = part.tiles.div_ceil(MAT_MAT_TILES);
        if level == Level::Matrix {
            let grid = Grid::Rows { x, each: MATRIX_TOKENS as u32 };
            return self.at_level("mat_mat", level, &part, grid, &[("SUBGROUP", self.weights.gpu.subgroup)]);
        }
        let grid = Grid::Rows { x, each: 4 * quads * groups };
        self.at_level("mat_mat", level, &part, grid, &[("GROUPS", groups), ("QUADS", quads), ("SPLIT", split)]);
    }

    fn at_level(&mut self, kernel: &str, level: Level, part: &Part<'_>, grid: Grid, constants: &[Field]) {
        // lanes that load for one another: eight, or four in smaller subgroups
        let sharers = if self.weights.gpu.subgroup < 8 { 4 } else { 8 };
        let sharers = level.shares_loads().then_some(("SHARERS", sharers));
        self.call(&level.shader(kernel, part.ty), &part.fields, &part.buffers, grid);
        let constants: Vec<Field> = constants.iter().copied().chain(sharers).collect();
        self.constants(&constants);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_the_rows() {
        let hardware = Products::new(16, 1, 16);
        let few = Form::Few;
        for (rows, form) in [(1, Form::One), (2, few(1)), (4, few(1)), (5, few(2)), (8, few(2)), (9, Form::Many)] {
            assert_eq!(hardware.form(rows), form, "{rows} rows");
            let software = if rows == 1 { Form::One } else { Form::Many };
            assert_eq!(Products::new(1, 1, 1).form(rows), software, "{rows} rows");
        }
    }

    #[test]
    fn few_rows_fit_their_quads_at_a_level_of_mat_mat() {
        for &level in Level::ALL {
            let products = Products::new(16, 1, 16).at(level);
            for rows in 2..=FEW_ROWS {
                let shape = products.mat_mat(products.form(rows));
                assert!(rows <= 4 * shape.quads as usize && shape.groups == 1 && shape.split > 1, "{shape:?}");
                assert_eq!(shape.level, if level == Level::Matrix { Level::Base } else { level });
            }
            assert_eq!(products.mat_mat(Form::Many), products.many);
        }
        let mixed = Products {
            many: Products::new(16, 1, 16).at(Level::Matrix).many,
            ..Products::new(16, 1, 16).at(Level::Int8)
        };
        assert_eq!(mixed.mat_mat(Form::Few(1)).level, Level::Int8);
    }
}
