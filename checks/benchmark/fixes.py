"""How each bug of the catalogue is mended, in a sentence or two, by its id."""

from __future__ import annotations

from collections.abc import Mapping

from .completion_fixes import COMPLETION_FIXES

#: By the row's id, whatever its framework.
FIXES: Mapping[str, str] = {
    # baselines
    "running-mean-after-update": "Subtract the running mean first, and update it afterwards.",
    "running-mean-first-step": (
        "Start the running mean at a constant, such as 0, and update it after use."
    ),
    "batch-mean": (
        "Use the mean of the *other* sentences: leave the sentence's own cost out of its baseline."
    ),
    "samples-mean": (
        "Use the mean of the *other* samples: leave the sample's own cost out of its baseline."
    ),
    "leave-one-out-over-std": (
        "Do not divide, or divide by a number that does not depend on these samples, such as "
        "a running standard deviation that is updated after use."
    ),
    "group-advantage": (
        "Subtract the mean of the other samples of the group, and divide by nothing that "
        "depends on the group's own costs. If the normalisation is intended, check it against "
        "`exact=` of what it estimates."
    ),
    "lowest-cost-baseline": "Take the lowest cost of the other sentences, or of earlier batches.",
    "advantage-clipped": "Keep the costs below the baseline: their scores count too.",
    "cost-clipped": (
        "Clip nothing, or say so: pass the clipped cost as `objective=`, for that is what is "
        "minimised."
    ),
    "baseline-divides": (
        "Subtract the baseline. Only a scale that is independent of the draw may divide, and "
        "it rescales the gradient."
    ),
    "baseline-not-detached": (
        "Detach the baseline where it is subtracted; train it by a loss of its own."
    ),
    "label-dependent-baseline": (
        "Add the gradient of its mean over the labels, or let the baseline read the input alone."
    ),
    # control variates
    "control-variate-sign": "Subtract the control variate, and *add* its mean.",
    "muprop-mean-missing": (
        "Add the gradient of the linear term's mean, which is known in closed form."
    ),
    "control-variate-leaks": "Detach the control variate where it is subtracted from the cost.",
    # what is detached
    "reward-not-detached": "Use `f.detach() * log_q + f`.",
    "cost-differentiated-twice": "Detach the cost in the score term: `f.detach() * log_q + f`.",
    "pathwise-missing": (
        "Add the cost itself to the surrogate, so that its own parameters get their gradient."
    ),
    "score-without-cost": "Multiply the score by the (detached) cost.",
    "logits-detached": "Build the distribution on the logits themselves, not on `logits.detach()`.",
    "shared-pathwise-missing": (
        "Detach the cost in the score term only, and add it once undetached."
    ),
    "encoder-detached": "Pass the encoder's output on undetached to what q is made of.",
    "critic-not-detached": "Detach the critic in the score term; its own loss trains it.",
    "critic-as-number": (
        "Call `.item()`, or detach, only where the critic is subtracted, not in its loss."
    ),
    "critic-loss-lost": "Add the critic's loss to what is differentiated.",
    "critic-never-trained": (
        "Keep the critic's output a tensor in its loss, and name the critic in `wrt=`, so "
        "that a check sees it."
    ),
    # surrogates
    "score-sign": (
        "Minimise the cost times log q: there is no minus sign, unless the cost is minus a reward."
    ),
    "surrogate-sign": "Give an optimizer that lowers its argument the negated bound, once.",
    "probability-for-log": "Differentiate log q(y), not q(y).",
    "raw-logits": "Normalise: use `log_softmax(logits)`, or the distribution's `log_prob`.",
    "softmax-over-batch": "Normalise over the labels: `dim=-1`.",
    "outer-product-mean": (
        "Give both factors the shape (N,): `squeeze(-1)`, or index without keeping the axis."
    ),
    "outer-product-sum": (
        "Give both factors the shape (N,): `squeeze(-1)`, or index without keeping the axis."
    ),
    "label-redrawn": "Draw once, and use the same label in the cost and in log q.",
    "score-of-likeliest": "Take log q at the label that was drawn.",
    "auxiliary-redrawn": "Draw the auxiliary variable once, and pass it to both.",
    "coupled-own": (
        "Weight each score by the whole batch's cost, since all labels enter it; or decouple "
        "the layer."
    ),
    "scale-three-percent": "Find the factor: the report gives it for each parameter.",
    "cancels-over-sentences": "Weight every sentence alike.",
    # entropy and divergences
    "entropy-sign": "Subtract the entropy from what is minimised.",
    "entropy-twice": "Put log q into the signal or differentiate the entropy, not both.",
    "entropy-left-out": (
        "Put log q, detached, into the signal, or differentiate the entropy summed over labels."
    ),
    "entropy-share-lost": "Multiply the entropy by its weight everywhere.",
    "entropy-not-held": "Detach log q in the signal.",
    "entropy-of-mean": "Take each sentence's entropy first, and average then.",
    "divergence-as-loss": (
        "Estimates of a divergence's value are no losses. Put log(q / prior), detached, into "
        "the signal, or sum the divergence over labels."
    ),
    "divergence-positive-as-loss": (
        "Estimates of a divergence's value are no losses. Put log(q / prior), detached, into "
        "the signal, or sum the divergence over labels."
    ),
    "divergence-reversed": "Swap the arguments: it is KL(q, prior).",
    # several samples
    "samples-summed": "Divide by the number of samples.",
    "best-of-samples": (
        "Learn from all samples. If the best of them is what counts, its probability is that "
        "of being the best, and so is its score."
    ),
    "key-reused-for-baseline": (
        "Split the key, and draw the baseline's sample with the second half."
    ),
    "samples-repeated": "Split the key into one for each sample.",
    "samples-reshaped": "Transpose: `samples.T`, not `samples.reshape(...)`.",
    "vimco-own-sample": "Take the mean of the other samples' logarithms only.",
    "bound-own-weight": (
        "Weight each score by the whole bound, less a baseline made of the other samples (VIMCO)."
    ),
    "bound-without-score": "Add the score term: draws of labels are not reparameterised.",
    "bound-mean-of-batch": "Leave the sentence's own bound out of its baseline.",
    # sums over some labels
    "tail-dropped": (
        "Sample the labels that are not summed over, and weight that sample by their total "
        "probability."
    ),
    "tail-not-weighed": (
        "Weight the sample by the total probability of the labels that are not summed over."
    ),
    "tail-drawn-from-all": (
        "Draw the sample among the remaining labels only, with q renormalised over them."
    ),
    "without-replacement-renormalised": (
        "Use the weights of the ordered or unordered estimator for draws without replacement."
    ),
    "without-replacement-averaged": (
        "Weight each draw by what it stands for: draws without replacement are not draws from q."
    ),
    "without-replacement-not-weighed": (
        "Divide each term by the probability that its label is among those drawn."
    ),
    "subsample-not-scaled": "Multiply by the number of sentences over the number in the subsample.",
    "subsample-scales-penalty": "Scale only the terms that are sums over sentences.",
    # off-policy
    "off-policy-no-ratio": "Weight each draw by q over the probability that it was drawn with.",
    "ratio-inverted": "Weight by q over the old probability, and not the other way round.",
    "ratio-clipped": (
        "The bias may be intended, for less variance. Without a bias: do not clip, or correct "
        "for what was cut."
    ),
    "ratio-self-normalised": (
        "The bias may be intended, for less variance. Without a bias: divide by the number of "
        "samples."
    ),
    "ratio-clipped-differentiated": (
        "The bias may be intended, for less variance. At the first step after sampling, all "
        "ratios are 1 and nothing is clipped: check it there."
    ),
    "ratio-on-score-only": "Weight the pathwise part by the ratio as well.",
    "sampler-tempered": (
        "Divide the logits by the temperature in log q too, or weight by the ratio."
    ),
    "sampler-explores": (
        "Use the log-probability of the mixture that was sampled from, or weight by the ratio."
    ),
    # distributions
    "bits-ones-only": "Use `Bernoulli(...).log_prob(b)`, which has both terms.",
    "bits-averaged": "Sum log-probabilities over the bits.",
    "bits-first-only": "Sum log-probabilities over all bits; `Independent(..., 1)` does.",
    "sigmoid-twice": "Pass `logits=` in both places, or `probs=` in both.",
    "component-score-missing": "Add the component's log-probability to that of the label.",
    "mixture-mean-of-logs": "Use logsumexp over components: the logarithm of the mean.",
    "masked-not-renormalised": (
        "Mask the logits before log_softmax, and take draw and log q from the same distribution."
    ),
    "masked-by-product": (
        "Mask logits with `masked_fill(~mask, -inf)`, or `torch.where` before the logarithm."
    ),
    "probabilities-as-logits": "Pass `probs=`, or pass logits.",
    "probabilities-clamped": "Compute log_softmax from logits, which needs no clamp.",
    "inversion-shifted": (
        "Count the cumulated probabilities that the uniform number is *above*, from the first on."
    ),
    # relaxations
    "straight-through": (
        "The bias may be intended, for less variance. Without a bias: use the score function, "
        "or sum over the bit."
    ),
    "straight-through-identity": (
        "Pass the gradient through the probability, so that the sigmoid's slope is in it; "
        "what remains is the bias of straight-through."
    ),
    "cost-of-the-mean": "Take the mean of the cost over bits, not the cost at the mean bit.",
    "zero-for-other-branch": (
        "Divide by the probability of the branch that was taken, or evaluate both."
    ),
    "pair-as-independent": "Use DisARM's weights, or draw two independent bits.",
    "pair-weight-signed": "Use the sigmoid of the logit's absolute value.",
    "sampled-not-reparameterised": "Draw with `rsample()`, or add the score term.",
    "scale-detached": "Leave the scale in the graph: `mean + scale * noise`.",
    "log-scale-as-scale": "Use `log_scale.exp()`.",
    "rebar-wrong-tail": "Draw the conditional noise so that it gives the same bit.",
    # relaxed bits and labels
    "relaxed-bernoulli-for-bits": (
        "The bias may be intended, for less variance. Without a bias: use REBAR or RELAX, which "
        "correct it, or the score function."
    ),
    "relaxed-noise-not-divided": "Divide the sum: `((logit + odds) / temperature).sigmoid()`.",
    "straight-through-gumbel": (
        "The bias may be intended, for less variance. Without a bias: use REBAR or RELAX, or the "
        "score function."
    ),
    # noise of bits
    "arm-swapped": (
        "Subtract the cost of the bit below p from that of the bit above 1 - p, not the reverse."
    ),
    "arm-half-missing": "Multiply by the number less one half, or halve the difference.",
    "rebar-pathwise-sign": (
        "Add the derivative of the relaxed cost, and subtract that of the conditional one."
    ),
    "rebar-same-noise": "Draw the noise anew given the bit, from a second uniform number.",
    "rebar-conditional-detached": (
        "Leave the conditional noise in the graph: it is a function of the parameters too."
    ),
    "rebar-two-temperatures": "Use one temperature for both relaxed costs.",
    "rebar-control-in-graph": "Detach the difference that weighs the score: `(f - c).detach()`.",
    "relax-pathwise-missing": (
        "Add the derivative of the control variate at the noise, less that at the conditional one."
    ),
    # importance weights
    "sticking-the-landing-over-detached": (
        "Detach the parameters in log q, and leave the sample in the graph."
    ),
    "iwae-mean-of-logarithms": (
        "Take the logarithm of the mean weight: `log_weight.logsumexp(0) - log(K)`."
    ),
    "iwae-weights-in-graph": (
        "Detach the normalised weights, or differentiate the logarithm of their mean."
    ),
    "dreg-weights-not-squared": "Square the normalised weights, for the parameters of q.",
    "dreg-score-left-in": "Detach the parameters of q in its density, with squared weights.",
    "dreg-model-squared": (
        "Use the weights as they are for the model's parameters, and their squares for those of q."
    ),
    # reinforcement learning
    "discount-dropped": "Multiply each step's term by the discount to the power of the step.",
    "return-not-discounted": "Discount the costs as the estimand does.",
    "immediate-cost": "Weight each score by the sum of its own and all later costs.",
    "costs-of-the-past": "Sum from the end: `rewards.flip(0).cumsum(0).flip(0)`.",
    "return-off-by-one": "Start each sum with the step's own cost.",
    "return-whitened": "Use a baseline of the state, or statistics of other episodes.",
    "critic-bootstraps": (
        "The bias may be intended, for less variance. Without a bias: use the whole return, "
        "with the critic as its baseline."
    ),
    "generalised-advantage": "The bias may be intended, for less variance. Without a bias: λ = 1.",
    "action-baseline": (
        "Add the gradient of the baseline's mean over actions, or let it read the state alone."
    ),
    "divided-by-length": "Divide by a constant, such as the longest length that is allowed.",
    "guess-beyond-the-limit": "Where the limit ends the task, nothing follows: the guess is 0.",
    "two-steps-bootstrapped": (
        "The bias may be intended, for less variance. Without a bias: use the whole return, "
        "with the critic as its baseline, or a critic that is exact."
    ),
    "critic-of-an-earlier-step": (
        "Where episodes have a limit that ends the task, give the critic the number of steps that "
        "are left."
    ),
    "end-not-masked": "Multiply the guess of what follows by `1 - terminated`.",
    "limit-as-end": (
        "Where the task goes on after the limit, add the value of the last state: mask by "
        "`terminated`, and not by `truncated`."
    ),
    # state
    "first-cost-kept": "Set the baseline after it was first needed; use 0 until then.",
    "largest-so-far": (
        "Divide by the largest magnitude of *earlier* runs, and update it afterwards."
    ),
    "best-so-far": "Subtract the least cost of *earlier* runs, and update it afterwards.",
    "gradients-add-up": "Call `zero_grad()` before `backward()`.",
    "parameters-changed": "Leave the parameters to the optimizer: compute on copies.",
    "seeded-each-time": "Seed once, outside of the estimator.",
    # and others
    "near-kinks-not-pathwise": (
        "Add the cost's own derivative; it is right wherever the cost has one."
    ),
    "rare-labels-overweighed": (
        "Mend the weights of rare labels; sampling would not show that they are off."
    ),
    "small-head-halved": "Remove the factor of one half.",
    "mapped-own-draw": (
        "Use the mean of the *other* samples: leave the sample's own cost out of its baseline."
    ),
    "generator-set-back": "Do not set the generator back between a sample and its baseline.",
    "entropy-of-the-system": (
        "Draw from a generator that can be seeded, and leave the draw out of its baseline."
    ),
    "seed-drawn": (
        "Draw from the generator itself instead of drawing a seed, and leave the draw out of "
        "its baseline."
    ),
    "head-not-reached": "Do not detach the head where it enters the cost.",
    "critic-backward-beside": "Return the sum of both losses, or call `backward()` on both.",
    **COMPLETION_FIXES,
}
