"""The file that ``gradproof check --new FILE.py --template policy`` writes."""

POLICY = '''"""A loss on completions of a small language model, for `gradproof check {file}:loss`.

Put your own reward and loss in place of these. The model may be any module that returns logits,
small enough that all its completions can be enumerated: a few tokens, two or three of them.
"""

import torch

from gradproof import policies

EOS, PROMPT, LONGEST, GROUP, BETA = 0, [1], 2, 2, 0.1
torch.manual_seed(0)


class Model(torch.nn.Module):
    """Logits of the next token, (B, L, V), after each token of (B, L)."""

    def __init__(self, vocabulary=3, width=4):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.state = torch.nn.GRU(width, width, batch_first=True)
        self.head = torch.nn.Linear(width, vocabulary)

    def forward(self, tokens):
        return self.head(self.state(self.embed(tokens))[0])


model, reference = Model().double(), Model().double()
policy = policies.autoregressive(model, [PROMPT], eos=EOS, longest=LONGEST)


def reward(completion):
    """Of one completion, a tuple of tokens."""
    return (1.0, 2.5, -0.5)[completion[0]] - 0.4 * len(completion)


#: What training should make large, and what a loss should have for a gradient: that of minus it.
goal = policy.expected(reward) - BETA * policy.kl(reference)
exact = goal.as_loss
wrt = model


def log_ratio(group):
    """Of the policy and the reference, summed over the tokens of each completion."""
    by_reference = policies.autoregressive(reference, [PROMPT], eos=EOS, longest=LONGEST)
    return (policy.log_probs(group) - by_reference.log_probs(group)).sum(dim=1).detach()


def loss():
    """Draws a group of completions, and returns the loss of it: leave one out (RLOO)."""
    group = policy.sample(GROUP)
    rewards = torch.tensor([reward(each) for each in group.tuples()], dtype=torch.float64)
    returns = rewards - BETA * log_ratio(group)
    others = (returns.sum() - returns) / (GROUP - 1)
    return -((returns - others) * policy.log_probs(group).sum(dim=1)).mean()


def grpo():
    """The same with standardised returns, each completion divided by its length: it differs."""
    group = policy.sample(GROUP)
    rewards = torch.tensor([reward(each) for each in group.tuples()], dtype=torch.float64)
    returns = rewards - BETA * log_ratio(group)
    advantages = (returns - returns.mean()) / (returns.std() + 1e-6)
    lengths = torch.tensor([len(each) for each in group.tuples()])
    return -(advantages * policy.log_probs(group).sum(dim=1) / lengths).mean()


estimators = {"rloo": loss, "grpo": grpo}  # for gradproof compare {file}
'''
