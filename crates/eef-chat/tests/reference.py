#!/usr/bin/env python3
"""Regenerates fixtures/rendered.json: chat templates of our own, in the shapes of the LLaMA family's,
and what transformers' `apply_chat_template` renders for conversations.

    pip install transformers jinja2 tokenizers
    python tests/reference.py
"""

import json
import pathlib

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

CHATML = """{% for m in messages %}
    {%- if loop.first and m.role != 'system' %}
        {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
LLAMA2 = """{% if messages[0].role == 'system' %}
{% set rest = messages[1:] %}{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}
{% else %}{% set rest = messages %}{% set system = '' %}{% endif %}
{% for m in rest %}
    {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate') }}
    {% endif %}
    {% set text = system + m.content if loop.index0 == 0 else m.content %}
    {% if m.role == 'user' %}
{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}
    {%- else %}
{{ ' ' + text.strip() + ' ' + eos_token }}
    {%- endif %}
{% endfor %}"""
LLAMA3 = """{{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for m in messages %}{% if m.role == 'system' %}{% set ns.system = m.content | trim %}{% break %}{% endif %}{% endfor %}
{%- if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + date_string + '\\n\\n' + ns.system + '<|eot_id|>' }}
{%- for m in messages %}
    {%- if m.role == 'system' %}{% continue %}{% endif %}
    {{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""
MISTRAL = """{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}
{% elif m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token%s }}{% endif %}{% endfor %}"""
MISTRAL3 = """{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}
{%- elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% else %}{{ raise_exception('no ' ~ m.role) }}{% endif %}{% endfor %}"""
ZEPHYR = """{% for m in messages %}
{{ '<|' + m['role'] + '|>\\n' + m['content'] + eos_token }}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
PYTHON = """{{ messages | tojson }}
{{ messages[0] | tojson(indent=2) }}
{{ tools }} {{ documents is none }} {{ add_generation_prompt }}
{% for m in messages %}{% for k, v in m.items() %}{{ k.upper() }}={{ v.split('\\n')[-1].lstrip().replace('a', 'b') }};{% endfor %}
{% if m.content.startswith('\\n') or m.get('name') %}newline{% endif %}
{% endfor %}"""
TEMPLATES = {
    "chatml": CHATML, "llama2": LLAMA2, "llama3": LLAMA3, "mistral-0.1": MISTRAL.replace("%s", " + ' '"),
    "mistral-0.2": MISTRAL.replace("%s", ""), "mistral-0.3": MISTRAL3, "zephyr": ZEPHYR, "python": PYTHON,
}

TEXTS = [
    ["find a mug"],
    ["find a mug", "search[mug]", "two mugs"],
    ["{{ x }} {% if %}", '{"a": "b"}', "it's \"5 €\" <b> & \\n"],
    ["", "", "一二 🦙"],
    ["\n\n leading", "\nreply ", " trailing \n"],
    ["a", "b", "c", "d"],
]


def conversations():
    for texts in TEXTS:
        turns = [
            {"role": "assistant" if place % 2 else "user", "content": text}
            for place, text in enumerate(texts)
        ]
        yield turns
        yield [{"role": "system", "content": "Be\nbrief. "}, *turns]
    yield [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]


def main():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>"
    )
    cases = []
    for name, template in TEMPLATES.items():
        for messages in conversations():
            for prompt in (False, True):
                try:
                    text = tokenizer.apply_chat_template(
                        messages, chat_template=template, add_generation_prompt=prompt, tokenize=False
                    )
                except Exception as error:  # what raise_exception throws: refused by both
                    assert "roles must" in str(error) or "no s" in str(error), error
                    text = None
                cases.append({
                    "template": name, "messages": messages, "prompt": prompt, "text": text,
                })
    path = pathlib.Path(__file__).parent / "fixtures" / "rendered.json"
    record = {"templates": TEMPLATES, "cases": cases}
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
