"""Contract section 4, the digest's text: what it says of whom, how long it gets, and that it calls nobody."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.message import LONGEST, UNSEEN_ROWS, Heading, cleaned, labels_of, message
from lib.roster import User

ANA, BEN, CHEN = (f"{letter}0000000-0000-4000-8000-00000000000{letter}" for letter in "abc")
HEADING = Heading("needs review", 12, 3)


def test_the_tag_what_is_open_and_waits_and_a_line_a_person_most_rows_first():
    people = {ANA: 4, BEN: 7, CHEN: 1, "nobody": 0}
    labels = {ANA: "Ana", BEN: "Ben", CHEN: "Chen"}
    assert message([HEADING], people, labels) == (
        "needs review: 12 open, 3 waiting for a reviewer\nBen: 7\nAna: 4\nChen: 1"
    )


def test_people_of_as_many_rows_come_by_name_and_without_a_label_by_id():
    assert message([], {BEN: 1, CHEN: 1, ANA: 1}, {BEN: "Zoe", CHEN: "Ana"}).splitlines() == [
        "Ana: 1",
        "Zoe: 1",
        f"{ANA}: 1",
    ]


def test_an_id_in_place_of_a_name_calls_nobody_either():
    assert message([], {"@here\n<!channel>": 1}, {}) == "\uff20here \u2039!channel\u203a: 1"


def test_several_headings_and_notes_stand_before_the_people():
    headings = [HEADING, Heading("german", 1, 0)]
    assert message(headings, {ANA: 13}, {ANA: "Ana"}, [UNSEEN_ROWS]).splitlines() == [
        "needs review: 12 open, 3 waiting for a reviewer",
        "german: 1 open, 0 waiting for a reviewer",
        "Not every row was seen: there may be more.",
        "Ana: 13",
    ]


def test_first_name_else_what_stands_before_the_at_else_the_beginning_of_the_id():
    users = [
        User(ANA, "a.souza@example.com", "Ana"),
        User(BEN, "ben.okafor@example.com"),
        User(CHEN, "", " \n"),
    ]
    assert labels_of([ANA, BEN, CHEN, "stranger-0001"], users) == {
        ANA: "Ana",
        BEN: "ben.okafor",
        CHEN: "c0000000",
        "stranger-0001": "stranger",
    }


@pytest.mark.parametrize("other", ["Ana", "Ana\u200b", " Ana\n"])
def test_who_would_read_the_same_has_the_beginning_of_the_id_as_well(other):
    users = [User(ANA, "", "Ana"), User(BEN, "", other), User(CHEN, "", "Chen")]
    assert labels_of([ANA, BEN, CHEN], users) == {
        ANA: "Ana a0000000",
        BEN: "Ana b0000000",
        CHEN: "Chen",
    }
    assert labels_of([ANA, CHEN], users)[ANA] == "Ana"  # Ben has nothing to do with this message


def test_a_decomposed_letter_reads_the_same():
    users = [User(ANA, "", "Ren\u00e9e"), User(BEN, "", "Rene\u0301e")]
    assert {*labels_of([ANA, BEN], users).values()} == {
        "Ren\u00e9e a0000000",
        "Ren\u00e9e b0000000",
    }


def test_an_id_is_the_same_in_any_case():
    assert labels_of([ANA.upper()], [User(ANA, "", "Ana")]) == {ANA.upper(): "Ana"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<!channel>", "\u2039!channel\u203a"),
        ("@here", "\uff20here"),
        ("&lt;!here&gt;", "\uff06lt;!here\uff06gt;"),
        ("<https://example.com|look>", "\u2039https://example.com|look\u203a"),
        ("two\nlines\r\n\tand  more", "two lines and more"),
        ("n\u202eo d\u200birection\ufeff", "no direction"),
        ("half \ud800 a pair", "half a pair"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_names_and_tags_stand_on_one_line_and_call_nobody(text, line):
    assert cleaned(text) == line


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_whatever_names_and_tags_hold_a_message_has_its_lines_and_no_sign_that_calls(
    tag, name, email
):
    labels = labels_of([ANA, BEN], [User(ANA, email, name), User(BEN, "", "Ben")])
    text = message([Heading(tag, 1, 2)], {ANA: 1, BEN: 2}, labels)
    assert len(text.splitlines()) == 3
    assert not re.search("[<>&@]", text)
    assert all(len(line) <= 60 + 40 for line in text.splitlines())
    text.encode()


@pytest.mark.parametrize("count", [1, 60, 61, 62, 300, 5000])
def test_a_long_message_is_cut_between_lines_and_says_how_many_more_there_are(count):
    people = {f"{number:04}": 1 + number for number in range(count)}
    labels = {who: f"{who} {'n' * 55}" for who in people}
    text = message([HEADING], people, labels)
    lines = text.splitlines()
    assert len(text) <= LONGEST
    cut = re.fullmatch("and ([0-9]+) more", lines[-1])
    shown = lines[1:-1] if cut else lines[1:]
    assert len(shown) + int(cut[1] if cut else 0) == count
    whole = message([HEADING], dict(list(people.items())[-len(shown) :]), labels).splitlines()
    assert shown == whole[1:]
    if cut:  # no more would have fitted
        assert len(text) + len(shown[-1]) > LONGEST


def test_many_headings_are_cut_too():
    text = message([Heading("q" * 60, 1, 1)] * 100, {}, {})
    assert len(text) <= LONGEST
    assert re.search(r"\nand \d+ more$", text)


def test_what_stands_for_a_sign_is_not_made_that_sign_by_the_form_that_names_are_compared_in():
    assert unicodedata.normalize("NFC", cleaned("<@&>")) == cleaned("<@&>")
