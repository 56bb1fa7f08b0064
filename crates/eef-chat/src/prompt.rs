//! The first message of a conversation.

use std::fmt;
use std::str::FromStr;

use eef_core::{Opening, OutcomeLabel};

use crate::ChatError;

/// How an episode's opening becomes the first user message. Rollouts and training use the same
/// function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PromptTemplate {
    /// The instruction and the first observation, a line each: for a student that is tuned and
    /// needs no explanation.
    #[default]
    Short,
    /// AgentLite's sections for WebShop, in words of our own: role, constraint, the actions in a
    /// fixed order, one worked example, the task. For models that are only prompted, and for the
    /// paper's set-ups.
    AgentLite,
    /// AgentGym's set-up for ScienceWorld, in words of our own: the rules, the actions, the form of
    /// a reply ([`ActionFormat::ReAct`](crate::ActionFormat::ReAct)), the task. For models that are
    /// only prompted, and for the paper's set-ups.
    ScienceWorld,
}

impl PromptTemplate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Short, Self::AgentLite, Self::ScienceWorld];

    /// The name used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::AgentLite => "agentlite",
            Self::ScienceWorld => "scienceworld",
        }
    }

    /// The first user message. An observation that already contains the instruction is not given
    /// it a second time.
    pub fn render(self, instruction: &str, observation: &str) -> String {
        let instruction = instruction.trim();
        match self {
            Self::Short if instruction.is_empty() || observation.contains(instruction) => {
                observation.to_owned()
            }
            Self::Short if observation.is_empty() => instruction.to_owned(),
            Self::Short => format!("{instruction}\n{observation}"),
            Self::AgentLite => {
                format!("{AGENTLITE}\nTask:{instruction}\nObservation: {observation}\nAction:")
            }
            Self::ScienceWorld => format!("{SCIENCEWORLD}\n\n{instruction}\n{observation}"),
        }
    }

    /// The first user message of an opening.
    pub fn of_opening(self, opening: &Opening) -> String {
        Prompt::from(self).of_opening(opening)
    }

    /// The same prompt, announcing an outcome where there is one to announce.
    pub fn announcing(self, label: Option<OutcomeLabel>, style: LabelStyle) -> Prompt {
        Prompt { template: self, announced: label.map(|label| (label, style)) }
    }
}

/// A prompt template, and what the prompt announces of the trajectory that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Prompt {
    template: PromptTemplate,
    announced: Option<(OutcomeLabel, LabelStyle)>,
}

impl Prompt {
    /// The first user message: see [`PromptTemplate::render`].
    pub fn render(self, instruction: &str, observation: &str) -> String {
        let text = self.template.render(instruction, observation);
        match self.announced {
            None => text,
            Some((label, style)) => format!("{}\n{text}", style.line(label)),
        }
    }

    /// The first user message of an opening.
    pub fn of_opening(self, opening: &Opening) -> String {
        self.render(&opening.instruction, opening.observation.as_str())
    }
}

impl From<PromptTemplate> for Prompt {
    fn from(template: PromptTemplate) -> Self {
        Self { template, announced: None }
    }
}

/// How a prompt announces an outcome: a line of its own before everything else (negative-aware
/// training, Wang et al. 2024, which compares several).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum LabelStyle {
    /// A sentence that asks for a correct or an incorrect solution.
    #[default]
    Sentence,
    /// `[Correct]` or `[Incorrect]`.
    Correct,
    /// `[Good]` or `[Bad]`.
    Good,
}

impl LabelStyle {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sentence, Self::Correct, Self::Good];

    /// The name used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sentence => "sentence",
            Self::Correct => "correct",
            Self::Good => "good",
        }
    }

    fn line(self, label: OutcomeLabel) -> &'static str {
        match (self, label) {
            (Self::Sentence, OutcomeLabel::Positive) => "Give a correct solution of this task.",
            (Self::Sentence, OutcomeLabel::Negative) => "Give an incorrect solution of this task.",
            (Self::Correct, OutcomeLabel::Positive) => "[Correct]",
            (Self::Correct, OutcomeLabel::Negative) => "[Incorrect]",
            (Self::Good, OutcomeLabel::Positive) => "[Good]",
            (Self::Good, OutcomeLabel::Negative) => "[Bad]",
        }
    }
}

impl FromStr for LabelStyle {
    type Err = ChatError;

    fn from_str(text: &str) -> Result<Self, ChatError> {
        named(&Self::ALL, Self::name, "style of a label", text)
    }
}

/// The one of that name.
fn named<T: Copy>(
    all: &[T],
    name: fn(T) -> &'static str,
    what: &'static str,
    text: &str,
) -> Result<T, ChatError> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| ChatError::UnknownName {
        what,
        found: text.to_owned(),
        expected: all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", "),
    })
}

impl fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PromptTemplate {
    type Err = ChatError;

    fn from_str(text: &str) -> Result<Self, ChatError> {
        named(&Self::ALL, Self::name, "prompt", text)
    }
}

const AGENTLITE: &str = r#"You shop for a customer in a web shop by calling actions. Each reply is exactly one action call.
[Role]
You read the page that the shop shows, decide what helps to find the product that the customer describes, and buy it.
[End of Role]
[Constraint]
Reply with one line of the form name[{"parameter": "value"}], with nothing before or after it.
Call only the actions listed below, with exactly their parameters, written as JSON.
Click only what the last page shows in square brackets, or the article number of a product listed on it.
Choose every option that the customer asks for on the product's page before you buy.
Buy the product that fits the whole description and stays below the price limit; if none on the page fits, look at further pages or search again.
[End of Constraint]
[Action_Doc]
[{'name': 'search', 'description': 'Look for products by words. Possible only while the page shows [Search].', 'parameters': {'product': 'the words to look for'}},
{'name': 'click', 'description': 'Press a button of the page, choose an option, or open a product.', 'parameters': {'button': 'the text of the button or option, or the article number, without brackets'}},
{'name': 'Think', 'description': 'Write down a thought. The shop answers OK and nothing changes.', 'parameters': {'response': 'the thought'}},
{'name': 'Finish', 'description': 'End the task once the purchase is done.', 'parameters': {'response': 'a closing remark'}}]
[End of Action_Doc]
[Example]
Task:i need a blue wool scarf that is 70 inches long, and price lower than 25.00 dollars
Observation: [Search]
Action:search[{"product": "blue wool scarf 70 inches"}]
Observation: [Back to Search] Page 1 (Total results: 15) [Next >] [B0XA1SCARF] Plain Wool Scarf, Long $31.50 [B0XA2SCARF] Winter Wool Scarf for All $19.90 [B0XA3SCARF] Cotton Neckerchief $9.00
Action:Think[{"response": "The first one costs too much and the third is not wool. B0XA2SCARF may fit: I check its colours and lengths."}]
Observation: OK
Action:click[{"button": "B0XA2SCARF"}]
Observation: [Back to Search] [< Prev] color [grey][blue] length [60 inches][70 inches] Winter Wool Scarf for All Price: $19.90 [Buy Now]
Action:click[{"button": "blue"}]
Observation: You have clicked blue.
Action:click[{"button": "70 inches"}]
Observation: You have clicked 70 inches.
Action:click[{"button": "Buy Now"}]
Observation: You have bought the product.
Action:Finish[{"response": "The scarf is bought."}]
[End of Example]
[Execution]"#;

const SCIENCEWORLD: &str = "\
You are in a house with a garden and do a task of school science there, one action at a time. After \
each action you are told what happens.
Give each reply this form, with nothing after the action:
Thought:
what you know now, and what to do next

Action:
one action

The actions, where OBJ stands for a thing as it is called in what you see:
look around | look in OBJ | look at OBJ | inventory | task | wait | wait1
open OBJ | close OBJ | go to ROOM | pick up OBJ | put down OBJ | move OBJ to OBJ
pour OBJ into OBJ | dunk OBJ into OBJ | mix OBJ | use OBJ on OBJ | read OBJ | eat OBJ | flush OBJ
activate OBJ | deactivate OBJ | connect OBJ to OBJ | disconnect OBJ
focus on OBJ
Doors are opened before they are gone through, and rooms lie next to each other. wait lets ten steps \
of time pass, wait1 one. Where a request is ambiguous, reply with the number of what you mean as the \
action. Focus only on what the task asks you to focus on: a focus on anything else fails the task for \
good.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_announced_in_a_line_before_everything_else() {
        let short = PromptTemplate::Short;
        for style in LabelStyle::ALL {
            assert_eq!(style.name().parse::<LabelStyle>().unwrap(), style);
            let of = |label| short.announcing(Some(label), style).render("take room 3", "room 0");
            let [good, bad] = OutcomeLabel::ALL.map(of);
            assert_ne!(good, bad);
            for text in [good, bad] {
                assert_eq!(text.split_once('\n').unwrap().1, "take room 3\nroom 0");
            }
        }
        let plain = short.announcing(None, LabelStyle::Good);
        assert_eq!(plain.render("take room 3", "room 0"), "take room 3\nroom 0");
        assert!("worse".parse::<LabelStyle>().unwrap_err().to_string().contains("sentence"));
    }

    #[test]
    fn the_short_prompt_says_everything_once() {
        let prompt = PromptTemplate::Short;
        assert_eq!(prompt.render("take room 3", "room 0"), "take room 3\nroom 0");
        let page = "Instruction: take room 3 [Search]";
        assert_eq!(prompt.render("take room 3", page), page);
        assert_eq!(prompt.render("take room 3", ""), "take room 3");
    }

    #[test]
    fn the_agentlite_prompt_has_its_sections_in_order() {
        let prompt = PromptTemplate::AgentLite.render("buy a mug", "[Search]");
        let sections = [
            "[Role]\n",
            "[End of Role]\n[Constraint]\n",
            "[End of Constraint]\n[Action_Doc]\n",
            "[End of Action_Doc]\n[Example]\n",
            "[End of Example]\n[Execution]\nTask:buy a mug\nObservation: [Search]\nAction:",
        ];
        let mut from = 0;
        for section in sections {
            let at = prompt[from..].find(section).unwrap_or_else(|| panic!("{section}"));
            from += at + section.len();
        }
        assert_eq!(from, prompt.len());
    }

    #[test]
    fn the_scienceworld_prompt_ends_with_the_task_and_where_it_starts() {
        let prompt = PromptTemplate::ScienceWorld.render("boil soap", "This room is");
        assert!(prompt.starts_with("You are in a house") && prompt.contains("\nThought:\n"));
        assert!(prompt.ends_with("for good.\n\nboil soap\nThis room is"), "{prompt}");
        let example = prompt.split_once("form, with nothing after the action:\n").unwrap().1;
        let example = example.split_once("\n\nThe actions").unwrap().0;
        let format = crate::ActionFormat::ReAct;
        assert_eq!(format.parse(example), Ok("one action"));
        assert_eq!(format.print("what you know now, and what to do next", "one action"), example);
    }

    #[test]
    fn prompts_are_read_back_from_their_names() {
        for prompt in PromptTemplate::ALL {
            assert_eq!(prompt.name().parse::<PromptTemplate>().unwrap(), prompt);
        }
        let error = "long".parse::<PromptTemplate>().unwrap_err();
        assert!(
            error.to_string().contains("expected one of short, agentlite, scienceworld"),
            "{error}"
        );
    }
}
