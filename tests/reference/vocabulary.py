"""Small tokenizers of the kinds that the models of the two layouts come with, made from a few sentences.

`clip` has the parts and the order of OpenAI's: byte-level pieces, pieces that end a word, merges, then start and end token.
`gemma` has those of SigLIP 2: byte fall-back, blanks as "▁", an end token and no start. `sentencepiece` has those of SigLIP 1: a
unigram model after lower case and without punctuation. Merges are counted here, not by the library's trainer, which breaks ties
differently in every run.
"""

import collections
import gzip
import json
import pathlib
import string

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

START, END = "<|startoftext|>", "<|endoftext|>"
SENTENCES = """
a red circle on a blue ground and a green square beside it
the dog digs in the garden while two children play with a ball on the grass
a snow covered mountain under a cloudy sky at sunset seen from the lake
people walking across the street in the rain with umbrellas at night
a close up of a cat sleeping on the sofa next to a window
someone is cooking dinner in a small kitchen and stirring a pot
birthday cake with candles on a table and people singing around it
a boat on the river with a bridge and old houses behind it
waves on the beach and a person surfing in the evening light
a photo of a bicycle leaning against a brick wall in the city
ein Fahrrad vor dem Haus und drei Kinder auf der Wiese
""".split("\n")
N_MERGES = 220


def merges_of(words, n=N_MERGES):
    """The n most frequent pairs, one after the other; ties go to the pair that sorts first. `words` maps pieces to counts."""
    words, merges = dict(words), []
    while len(merges) < n:
        pairs = collections.Counter()
        for pieces, count in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = {}
        for pieces, count in words.items():
            row, at = [], 0
            while at < len(pieces):
                if pieces[at : at + 2] == best:
                    row.append(best[0] + best[1])
                    at += 2
                else:
                    row.append(pieces[at])
                    at += 1
            joined[tuple(row)] = joined.get(tuple(row), 0) + count
        words = joined
    return merges


def byte_alphabet():
    """The 256 printable letters that stand for bytes, in CLIP's order: printable ASCII and Latin first, then the rest."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))], printable + others


def save(tokenizer, folder, config):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", config)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def clip(folder: pathlib.Path, context, pad=END):
    """Returns the number of tokens, and open_clip's file of merges as bytes."""
    letters, order = byte_alphabet()
    letter_of = dict(zip(order, letters))
    words = collections.Counter()
    for word in " ".join(SENTENCES).lower().split():
        pieces = [letter_of[byte] for byte in word.encode()]
        words[(*pieces[:-1], pieces[-1] + "</w>")] += 1
    merges = merges_of(words)
    pieces = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges), START, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(START, normalized=True, special=True), AddedToken(END, normalized=False, special=True)])
    start, end = vocabulary[START], vocabulary[END]
    tokenizer.post_processor = processors.RobertaProcessing((END, end), (START, start), trim_offsets=False, add_prefix_space=False)
    config = {
        "tokenizer_class": "CLIPTokenizer", "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad,
        "do_lower_case": True, "model_max_length": context, "add_prefix_space": False, "clean_up_tokenization_spaces": False, "errors": "replace",
    }  # fmt: skip
    save(tokenizer, folder, config)
    return len(pieces), gzip.compress("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]).encode(), mtime=0)


def gemma(folder: pathlib.Path):
    words = collections.Counter()
    for sentence in SENTENCES:
        for place, word in enumerate(sentence.lower().split()):
            words[tuple(("▁" if place else "") + word)] += 1
    merges = merges_of(words)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    letters = sorted({letter for pieces in words for letter in pieces})
    # Capitals are known too, as in the real vocabulary: whoever forgets to lower a text gets other ids, not unknown ones.
    capitals = sorted({letter.upper() for letter in letters} - set(letters))
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *capitals, *(a + b for a, b in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in special])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0 <eos>:0", pair="$A:0 <eos>:0 $B:1 <eos>:1", special_tokens=[("<eos>", 1)])
    config = {
        "tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True, "do_lower_case": True, "padding_side": "right",
        "model_input_names": ["input_ids"], "model_max_length": 10**30, "pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>",
        "unk_token": "<unk>", "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    save(tokenizer, folder, config)
    return len(vocabulary)


def sentencepiece(folder: pathlib.Path, context):
    words = collections.Counter("▁" + word for word in " ".join(SENTENCES).lower().split())
    letters = sorted({letter for word in words for letter in word} | set("0123456789äöüß"))
    # Longer and more frequent pieces cost less; the exact numbers only have to differ.
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(letter, -9.0 - number / 1000) for number, letter in enumerate(letters)]
    pieces += [(word, -5.0 - number / 100) for number, (word, _) in enumerate(sorted(words.items(), key=lambda item: (-item[1], item[0]))) if len(word) > 1]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    punctuation = "".join("\\" + mark for mark in string.punctuation)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(f"[{punctuation}]"), ""), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in ("<pad>", "</s>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0 </s>:0", pair="$A:0 </s>:0 $B:1 </s>:1", special_tokens=[("</s>", 1)])
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context, "pad_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>",
        "do_lower_case": True, "model_input_names": ["input_ids"], "clean_up_tokenization_spaces": True,
    }  # fmt: skip
    save(tokenizer, folder, config)
    return len(pieces)
