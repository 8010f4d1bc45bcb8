"""Bytes as words, for reading a fingerprint over the telephone: one word per byte.

256 short words, each known by its first three letters.
"""

from __future__ import annotations

__all__ = ["WORDS", "spoken"]

_LIST = """
    abbey acorn actor adobe agate album alien almond amber anchor apple apron arbor armor arrow atlas autumn avocado
    axle bacon badge bagel ballad bamboo banjo barrel basket beacon bench berry bicycle birch biscuit blanket
    blossom bonfire bottle boulder bracket breeze bridge bronze bucket buffalo bugle butter cabin cactus camel
    candle carpet castle cedar cello cement chapel cherry chimney cider circus citrus clover cobalt coconut comet
    copper coral cotton cradle cricket crystal curtain cushion daisy dancer debate delta denim desert diamond dinner
    dolphin domino donkey dragon drizzle drummer eagle easel echo eclipse elbow elder ember emerald engine fabric
    falcon feather fender ferry fiddle filter fjord flannel flute forest fossil freckle frost fungus gable galaxy
    garlic gecko geyser ginger glacier goblet gospel granite guitar gulf gutter hammer harbor hazel helmet heron
    hickory hockey hornet hotel hunter icicle igloo indigo island ivory jacket jaguar jasmine jelly jersey jigsaw
    jockey jungle kayak kennel kettle kitchen koala ladder lagoon lantern lemon leopard lettuce library lilac linen
    lobster locket lotus lumber lyric magnet mallet mango marble meadow melon mermaid meteor mirror mitten monkey
    mosaic muffin mustard napkin nectar needle nickel noodle nutmeg nylon oasis ocean octopus olive onion opera
    orchid osprey otter oxygen oyster paddle panther parrot pebble pelican pepper picnic pigeon pillow pirate planet
    pocket pony prairie pudding pumpkin puzzle python quarry quilt rabbit radish raven ribbon ripple rocket rudder
    saddle salmon sandal satin scooter seagull sequoia shadow silver siren sketch slipper sonnet sparrow spruce
    stable sunset swallow tablet talcum tango temple thimble thunder ticket timber toast tomato topaz torch tractor
"""

WORDS: tuple[str, ...] = tuple(_LIST.split())


def spoken(content: bytes) -> str:
    """One word per byte, joined by '-'."""
    return "-".join(WORDS[byte] for byte in content)
