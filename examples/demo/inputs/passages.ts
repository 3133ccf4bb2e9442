// The texts that the demo works on, written for it.

/** Short passages of prose, with the odd blank that a tidying job is to find. */
export const PASSAGES: readonly string[] = [
  "The ferry left before dawn. Nobody on the quay could say who had ordered it, and " +
    "the ticket window stayed dark until noon.",
  "A good ledger is dull to read. Every line says who, when and how much, and no line " +
    "is ever rubbed out.  Mistakes get a line of their own.",
  "When the bell rang twice the clerks put down their pens. When it rang three times " +
    "they picked them up again and began the page anew.",
  "The lamp in the signal box burned all winter. Trains passed it, slowed, and were " +
    "written into a book with a blue cover.",
  "She counted the sacks as they came off the cart. Forty-one had been promised, forty " +
    "had come, and the driver swore to forty-one.",
  "Rain found the one loose tile.   By morning the attic had a puddle, the puddle had " +
    "a cat, and the cat had an opinion.",
  "The baker kept two clocks. One told the time, the other told the bread, and they " +
    "had not agreed since the spring.",
  "Down at the weir the water never hurries. It waits for the gate, goes through when " +
    "it may, and leaves a mark on the stone.",
  "The letter was posted four times. Four postmen carried it, one door received it, " +
    "and the answer was written only once.",
  "An orchard is a slow machine. You feed it years and it gives you apples, most of " +
    "them sour, some of them worth the years.",
  "The night porter knew every guest by the sound of the stairs. The third floor was " +
    "heavy, the fifth was late, the first was never in.",
  "They built the bridge from both banks at once. In the middle the two halves met, a " +
    "hand's breadth apart, and the mayor sent for a longer plank.",
  "The map showed a road that was no longer there. The road, for its part, showed no " +
    "sign of ever having seen the map.",
  "Every autumn the choir loses a tenor.  He is found in the spring, a little hoarse, " +
    "at the far end of the second row.",
  "The apprentice broke a cup and hid it. The master found it, said nothing, and asked " +
    "for a cup to be brought to the table.",
  "There are nine keys on the ring and eight doors in the house. The ninth key is " +
    "polished, and nobody remembers by whom.",
  "The harbour master writes down what arrives and what departs. What merely passes by " +
    "he waves at, and does not write down.",
  "Fog came up the valley like a visitor.   It looked into each garden, found nobody " +
    "at home, and stayed until four.",
  "The choir of frogs begins with one. The one is always early, always wrong, and " +
    "always followed.",
  "A parcel without an address went round the town for a week. Everyone weighed it, " +
    "everyone shook it, and everyone passed it on.",
  "The watchmaker mends one thing a day. Whoever comes after that is given a chair and " +
    "a number for tomorrow.",
  "Two brothers shared a boat, a net and a stove. They did not share a language, and " +
    "the fish had no view on the matter.",
  "The inn has a book for complaints. It is well kept, bound in leather, and opens " +
    "only at the first page.",
  "At the top of the hill the postman rests. He sorts the bag again, finds the same " +
    "letters in it, and goes down the other side.",
];
