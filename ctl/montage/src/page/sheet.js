
'use strict';
const cards = Array.from(document.querySelectorAll('.scenes > li'));
const said = document.getElementById('said');
let silence = 0;

function say(text, lasts) {
  clearTimeout(silence);
  said.textContent = text;
  if (lasts) silence = setTimeout(() => { said.textContent = ''; }, lasts);
}

// From a file, some browsers offer no clipboard; the old way works there.
function copyOldWay(text) {
  const field = document.createElement('textarea');
  const before = document.activeElement;
  field.value = text;
  field.readOnly = true;
  field.className = 'spoken';
  document.body.append(field);
  field.select();
  let done = false;
  try { done = document.execCommand('copy'); } catch { done = false; }
  field.remove();
  if (before) before.focus();
  return done;
}

async function copy(card) {
  const text = card.dataset.moment;
  let done = true;
  try { await navigator.clipboard.writeText(text); } catch { done = copyOldWay(text); }
  if (done) say('Copied ' + text, 3000);
  else say('Copying is not allowed here; this is it: ' + text, 0);
}

function current() {
  return cards.findIndex((card) => card.contains(document.activeElement));
}

function columns() {
  const top = cards[0].offsetTop;
  const second = cards.findIndex((card) => card.offsetTop > top);
  return second < 0 ? cards.length : second;
}

function target(key, at) {
  switch (key) {
    case 'ArrowRight': return at + 1;
    case 'ArrowLeft': return at - 1;
    case 'ArrowDown': return at + columns();
    case 'ArrowUp': return at - columns();
    case 'Home': return 0;
    case 'End': return cards.length - 1;
    default: return -1;
  }
}

const keys = ['ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp'];

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || cards.length === 0) return;
  const at = current();
  if (at < 0) {
    if (!keys.includes(event.key)) return;
    const seen = cards.find((card) => card.getBoundingClientRect().bottom > 0) || cards[0];
    event.preventDefault();
    seen.querySelector('a').focus();
    return;
  }
  if (event.key === 'c' || event.key === 'C') {
    event.preventDefault();
    copy(cards[at]);
    return;
  }
  if (!keys.includes(event.key) && event.key !== 'Home' && event.key !== 'End') return;
  event.preventDefault();
  const next = cards[target(event.key, at)];
  if (next) next.querySelector('a').focus();
});

for (const card of cards) {
  const button = card.querySelector('button');
  button.hidden = false;
  button.addEventListener('click', () => copy(card));
}
for (const hint of document.querySelectorAll('.keys')) hint.hidden = false;
