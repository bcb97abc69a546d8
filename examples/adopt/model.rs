//! The network, in plain tch.

use tch::nn::{self, Module, ModuleT, Path};
use tch::{Kind, Tensor, vision::resnet};

/// Features per token.
pub const WIDTH: i64 = 32;
/// Classes.
pub const CLASSES: i64 = 6;
/// Mel bands of the audio.
pub const BANDS: i64 = 16;
/// Words of the vocabulary; 0 is padding.
pub const WORDS: i64 = 40;

/// A linear classifier.
pub fn head(path: &Path) -> nn::Linear {
    nn::linear(path / "head", WIDTH, CLASSES, Default::default())
}

/// The encoder of "audio" or "image", whose features are tokens [B, T, WIDTH].
pub fn encoder(path: &Path, name: &str) -> Box<dyn ModuleT> {
    match name {
        "audio" => Box::new(conformer(path)),
        _ => Box::new(image(path)),
    }
}

/// The features of a whole sample [B, WIDTH]: its first token, which every encoder puts before the others.
pub fn summary(tokens: &Tensor) -> Tensor {
    tokens.select(1, 0)
}

/// Tokens with their mean, over those of `mask` [B, T, 1], before them.
fn with_summary(tokens: Tensor, mask: &Tensor) -> Tensor {
    let sum = (&tokens * mask).sum_dim_intlist(1, true, tokens.kind());
    let mean = sum / mask.sum_dim_intlist(1, true, tokens.kind()).clamp_min(1.0);
    Tensor::cat(&[mean, tokens], 1)
}

/// Multi-head attention.
#[derive(Debug)]
struct Attention {
    query: nn::Linear,
    key_value: nn::Linear,
    out: nn::Linear,
}

impl Attention {
    fn new(path: &Path) -> Self {
        let linear =
            |name: &str, outputs| nn::linear(path / name, WIDTH, outputs, Default::default());
        Self {
            query: linear("query", WIDTH),
            key_value: linear("key_value", 2 * WIDTH),
            out: linear("out", WIDTH),
        }
    }

    /// `from` [B, Q, WIDTH] attends to the tokens of `to` [B, T, WIDTH] that `mask` [B, T] includes.
    fn forward(&self, from: &Tensor, to: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let heads = |x: &Tensor| x.unflatten(2, [4, WIDTH / 4]).transpose(1, 2);
        let query = heads(&from.apply(&self.query));
        let key_value = to.apply(&self.key_value).chunk(2, 2);
        let (key, value) = (heads(&key_value[0]), heads(&key_value[1]));
        let mut scores = query.matmul(&key.transpose(2, 3)) / ((WIDTH / 4) as f64).sqrt();
        if let Some(mask) = mask {
            scores = scores.masked_fill(&mask.logical_not().unsqueeze(1).unsqueeze(1), -1e4);
        }
        let mixed = scores.softmax(-1, None).to_kind(value.kind()).matmul(&value);
        mixed.transpose(1, 2).flatten(2, 3).apply(&self.out)
    }
}

fn norm(path: Path) -> nn::LayerNorm {
    nn::layer_norm(path, vec![WIDTH], Default::default())
}

fn feed_forward(path: Path) -> nn::Sequential {
    nn::seq()
        .add(norm(&path / "norm"))
        .add(nn::linear(&path / "inner", WIDTH, 2 * WIDTH, Default::default()))
        .add_fn(|x| x.silu())
        .add(nn::linear(&path / "out", 2 * WIDTH, WIDTH, Default::default()))
}

/// A conformer block on a spectrogram [B, T, BANDS].
fn conformer(path: &Path) -> nn::FuncT<'static> {
    let grouped = nn::ConvConfig { padding: 3, groups: WIDTH, ..Default::default() };
    let bands = nn::linear(path / "bands", BANDS, WIDTH, Default::default());
    let (first, last) = (feed_forward(path / "first"), feed_forward(path / "last"));
    let (norms, attention) = (
        ["norm1", "norm2", "norm3"].map(|n| norm(path / n)),
        Attention::new(&(path / "attention")),
    );
    let gate = nn::linear(path / "gate", WIDTH, 2 * WIDTH, Default::default());
    let depthwise = nn::conv1d(path / "depthwise", WIDTH, WIDTH, 7, grouped);
    let batch_norm = nn::batch_norm1d(path / "batch_norm", WIDTH, Default::default());
    let pointwise = nn::linear(path / "pointwise", WIDTH, WIDTH, Default::default());
    nn::func_t(move |input, train| {
        let x = input.apply(&bands);
        let x = &x + first.forward(&x) * 0.5;
        let y = x.apply(&norms[0]);
        let x = x + attention.forward(&y, &y, None);
        let gated = x.apply(&norms[1]).apply(&gate).glu(2).transpose(1, 2);
        let convolved = gated.apply(&depthwise).apply_t(&batch_norm, train).silu();
        let x = x + convolved.transpose(1, 2).apply(&pointwise);
        let x = (&x + last.forward(&x) * 0.5).apply(&norms[2]);
        let all = x.ones_like().narrow(2, 0, 1);
        with_summary(x, &all)
    })
}

/// tch's ResNet-18 on [B, 3, H, W]; one token.
fn image(path: &Path) -> nn::FuncT<'static> {
    let resnet = resnet::resnet18_no_final_layer(&(path / "resnet"));
    let linear = nn::linear(path / "linear", 512, WIDTH, Default::default());
    nn::func_t(move |input, train| resnet.forward_t(input, train).apply(&linear).unsqueeze(1))
}

/// A transformer block on token ids [B, T].
#[derive(Debug)]
pub struct Text {
    words: nn::Embedding,
    norms: [nn::LayerNorm; 2],
    attention: Attention,
    hidden: [nn::Linear; 2],
}

impl Text {
    fn new(path: &Path) -> Self {
        let linear = |name: &str, from, to| nn::linear(path / name, from, to, Default::default());
        Self {
            words: nn::embedding(path / "words", WORDS, WIDTH, Default::default()),
            norms: ["norm1", "norm2"].map(|name| norm(path / name)),
            attention: Attention::new(&(path / "attention")),
            hidden: [linear("inner", WIDTH, 2 * WIDTH), linear("out", 2 * WIDTH, WIDTH)],
        }
    }

    /// Tokens [B, 1 + T, WIDTH] of ids with a mask [B, T].
    pub fn forward(&self, ids: &Tensor, mask: &Tensor, train: bool) -> Tensor {
        let x = ids.apply(&self.words).dropout(0.1, train);
        let y = x.apply(&self.norms[0]);
        let x = x + self.attention.forward(&y, &y, Some(mask));
        let [first, second] = &self.hidden;
        let x = &x + x.apply(&self.norms[1]).apply(first).gelu("none").apply(second);
        let mask = mask.unsqueeze(2).to_kind(x.kind());
        with_summary(x, &mask)
    }
}

/// The student: three encoders, a head for each, and a query that attends to all tokens.
#[derive(Debug)]
pub struct Model {
    pub audio: Box<dyn ModuleT>,
    pub image: Box<dyn ModuleT>,
    pub text: Text,
    pub heads: [nn::Linear; 3],
    query: Tensor,
    attention: Attention,
    head: nn::Linear,
}

impl Model {
    pub fn new(path: &Path) -> Self {
        Self {
            audio: encoder(&(path / "audio"), "audio"),
            image: encoder(&(path / "image"), "image"),
            text: Text::new(&(path / "text")),
            heads: [0, 1, 2].map(|m| head(&(path / "heads" / m))),
            query: path.randn("query", &[1, 1, WIDTH], 0.0, 1.0),
            attention: Attention::new(&(path / "attention")),
            head: head(path),
        }
    }

    /// Logits from the tokens of all modalities; `words` [B, T] is the mask of the text, without a word in
    /// samples that have no text.
    pub fn fuse(&self, tokens: &[Tensor], words: &Tensor) -> Tensor {
        let all = |x: &Tensor| x.select(2, 0).ones_like().to_kind(Kind::Bool);
        let text = Tensor::cat(&[words.narrow(1, 0, 1), words.shallow_clone()], 1);
        let mask = Tensor::cat(&[all(&tokens[0]), all(&tokens[1]), text], 1);
        let tokens = Tensor::cat(tokens, 1);
        let query = self.query.expand([tokens.size()[0], 1, WIDTH], true);
        let context = self.attention.forward(&query, &tokens, Some(&mask)).squeeze_dim(1);
        (context + self.query.view([1, WIDTH])).apply(&self.head)
    }
}
