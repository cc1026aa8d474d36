from swath.report.format import markdown
from swath.report.marked_text import Label, Strong, joined, sentence

LINE = sentence("Best cell: ", Label("gray|**x**  y"), " with ", Strong("0.5000"), " of a|b.")


def test_plain_text_keeps_every_character_of_a_name():
    assert LINE.plain() == "Best cell: gray|**x** y with 0.5000 of a|b."


def test_markdown_adds_marks_and_takes_nothing_in_the_text_for_one():
    assert markdown(LINE) == "Best cell: `gray|**x** y` with **0.5000** of a\\|b."


def test_sentences_are_joined_part_by_part():
    line = joined([sentence(Label("a"), " is better"), sentence(Label("b"), " is worse")], "; ")
    assert line.plain() == "a is better; b is worse"
    assert markdown(line) == "`a` is better; `b` is worse"
