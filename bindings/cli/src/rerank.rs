//! `rerank`, `classify` and `fill-mask`: what the heads of encoders say of texts.

use serde_json::{Value, json};

use crate::args::{ClassifyArgs, FillMaskArgs, Global, RerankArgs};
use crate::embed::{array, embedder, in_groups};
use crate::failure::Failure;
use crate::load::input_text;
use crate::output;

pub(crate) fn rerank(global: &Global, args: &RerankArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let mut embedder = embedder(global, &args.texts.options())?;
    let (lines, mut scores) = (text.lines().collect::<Vec<_>>(), Vec::new());
    in_groups(&lines, |group| {
        scores.extend(embedder.rerank(&args.query, group)?);
        Ok(())
    })?;
    if args.json {
        return output::json(&json!({ "query": args.query, "scores": array(&scores) }));
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.into_iter().try_for_each(|i| output::line(&format!("{:.5}\t{}\t{}", scores[i], i + 1, lines[i])))
}

pub(crate) fn classify(global: &Global, args: &ClassifyArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let mut embedder = embedder(global, &args.texts.options())?;
    let labels = embedder.labels().to_vec();
    let (lines, mut all) = (text.lines().collect::<Vec<_>>(), Vec::new());
    in_groups(&lines, |group| {
        let texts: Vec<_> = group.iter().map(|&line| (line, None)).collect();
        let scores = embedder.classify(&texts)?;
        match args.json {
            true => all.extend(scores),
            false => scores.iter().try_for_each(|scores| output::line(&labelled(&labels, scores)))?,
        }
        Ok(())
    })?;
    if !args.json {
        return Ok(());
    }
    let scores: Value = all.iter().map(|scores| array(scores)).collect();
    output::json(&json!({ "labels": labels, "scores": scores }))
}

fn labelled(labels: &[String], scores: &[f32]) -> String {
    let name = |i: usize| labels.get(i).map_or_else(|| i.to_string(), |label| output::harmless(label));
    let each = scores.iter().enumerate().map(|(i, score)| format!("{}={score:.5}", name(i)));
    each.collect::<Vec<_>>().join("\t")
}

pub(crate) fn fill_mask(global: &Global, args: &FillMaskArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let masks = embedder(global, &args.texts.options())?.fill_mask(&text, args.top)?;
    if args.json {
        let guess = |it: &gabion::Filled| json!({ "id": it.token, "text": it.text, "probability": output::number(it.probability) });
        let masks: Value = masks.iter().map(|guesses| guesses.iter().map(guess).collect::<Value>()).collect();
        return output::json(&json!({ "masks": masks }));
    }
    let lines = masks.iter().enumerate().flat_map(|(i, guesses)| guesses.iter().map(move |guess| (i + 1, guess)));
    let mut lines = lines.map(|(i, it)| format!("{i}\t{:.5}\t{}", it.probability, output::quoted(&it.text)));
    lines.try_for_each(|line| output::line(&line))
}
