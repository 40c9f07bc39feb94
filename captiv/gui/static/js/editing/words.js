// What the editor says in more than one place.

export const LAST_SAVED = "Saved. This was the last image.";
export const IMAGE_GONE = "This image is gone. Go on to another one.";
