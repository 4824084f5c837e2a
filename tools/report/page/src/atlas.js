// atlas.js -- cuts single test images out of the JPEG that holds them all.
import { data, unpack } from './data.js';
import { el } from './dom.js';

const opened = new Map();

async function open(index) {
    const images = data.images[index];
    if (!images?.jpeg) return null;
    const picture = new Image();
    picture.src = images.jpeg;
    const [positions] = await Promise.all([unpack(images.position), picture.decode()]);
    return { picture, images, place: new Map(Array.from(positions, (position, place) => [position, place])) };
}

function atlas(index) {
    if (!opened.has(index)) opened.set(index, open(index));
    return opened.get(index);
}

/** A canvas with a run's test image `position`; it stays empty if the page does not have the image. */
export function imageCanvas(run, position, label) {
    const canvas = el('canvas', { width: 32, height: 32, class: 'image', role: 'img', 'aria-label': label });
    atlas(run.images).then((a) => {
        const place = a?.place.get(position);
        if (place === undefined) return;
        const { side, columns } = a.images;
        canvas.getContext('2d').drawImage(a.picture, place % columns * side, Math.floor(place / columns) * side, side, side, 0, 0, 32, 32);
        canvas.dataset.drawn = '';
    });
    return canvas;
}
